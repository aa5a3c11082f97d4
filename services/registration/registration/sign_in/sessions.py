"""Sessions: a short access token, which every service verifies by itself, and a refresh token, which is good here and once.

A refresh token that comes a second time was stolen, or the one who comes second is the thief: the session ends for both.
"""

import hashlib
import secrets
from datetime import timedelta
from uuid import UUID, uuid4

from chassis.identity import Caller, Role
from chassis.transaction import Transaction
from pydantic import BaseModel

from registration import signing
from registration.people import store as people
from registration.people.domain import Part, Person
from registration.sign_in import store
from registration.sign_in.domain import Session

ACCESS = timedelta(minutes=10)
"""How long an access token is valid: so long, too, after its session was revoked, for nobody asks about it."""


class SessionView(BaseModel):
    """An access token for all services, and the refresh token for the next one: it is good once."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - a scheme
    expires_in: int = int(ACCESS.total_seconds())
    """Seconds that the access token is valid."""
    refresh_token: str


async def opened(tx: Transaction, person: Person) -> SessionView:
    """A new session of somebody in a company."""
    session = Session(uuid4(), person.person_id)
    return await _opened(tx, session, timedelta(days=tx.settings.session_days), person)


async def opened_for_staff(tx: Transaction, session: Session) -> SessionView:
    """A new session of somebody whom an OpenID provider knows; short, since the provider does not tell when they leave."""
    return await _opened(tx, session, timedelta(hours=tx.settings.oidc_session_hours), None)


async def _opened(tx: Transaction, session: Session, life: timedelta, person: Person | None) -> SessionView:
    refresh_token = _new_refresh_token()
    await store.add_session(tx, session, life, _digest(refresh_token))
    return _view(tx, _caller(session, person), refresh_token)


async def refreshed(tx: Transaction, refresh_token: str) -> SessionView | None:
    """The next tokens of the session, with what the person is in the company by now; None if it has ended.

    The token is used up in any case, and one that was used before ends the session: commit that, too.
    """
    digest = _digest(refresh_token)
    session_id = await store.rotated(tx, digest)
    if session_id is None:
        await store.revoke_of(tx, digest)
        return None
    session = await store.locked_session(tx, session_id)
    if session is None:
        return None
    person = None if session.staff else (await people.those(tx, [session.subject]))[session.subject]
    following = _new_refresh_token()
    await store.add_refresh_token(tx, session_id, _digest(following))
    return _view(tx, _caller(session, person), following)


def _view(tx: Transaction, caller: Caller, refresh_token: str) -> SessionView:
    return SessionView(access_token=signing.token(caller, tx.settings, ACCESS), refresh_token=refresh_token)


def _new_refresh_token() -> str:
    return secrets.token_urlsafe(32)


def _digest(refresh_token: str) -> bytes:
    """Plain SHA-256 is enough for 256 random bits."""
    return hashlib.sha256(refresh_token.encode()).digest()


_ROLES = {Part.ADMIN: Role.COMPANY_ADMIN, Part.MEMBER: Role.COMPANY, Part.TRAVELLER: Role.TRAVELLER}


def person_caller(person: Person, session_id: UUID) -> Caller:
    """Somebody of a company, as the tokens name them. A traveller's company is left out: they act for nobody else."""
    company_id = None if person.part is Part.TRAVELLER else person.company_id
    return Caller(_ROLES[person.part], str(person.person_id), company_id, person.person_id, session_id=session_id)


def _caller(session: Session, person: Person | None) -> Caller:
    if person is not None:
        return person_caller(person, session.session_id)
    if session.staff is None:
        raise AssertionError("a session is of a person or of staff")
    return Caller(
        Role(session.staff.role), str(session.subject), country=session.staff.country, session_id=session.session_id
    )
