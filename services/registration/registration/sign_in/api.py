"""Signing in over HTTP: links by e-mail, sessions, their refreshing and their end."""

from dataclasses import replace
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from chassis.http import Tx
from chassis.identity import AnyCaller, Caller, Role
from chassis.openapi import failures
from chassis.problems import Problem
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, StringConstraints
from sojourn_contracts.refusal import NotYours, Refused
from uuid_utils.compat import uuid7

from chassis import problems
from registration.people import links
from registration.people import store as people
from registration.people.domain import Person
from registration.people.form import Email
from registration.sign_in import handlers, limits, sessions, store
from registration.sign_in.domain import LIFE, Link, Purpose, confirmed
from registration.sign_in.limits import Client, Limit
from registration.sign_in.sessions import SessionView

routes = APIRouter()


async def not_kept(response: Response) -> None:
    response.headers["Cache-Control"] = "no-store"


NOT_KEPT = Depends(not_kept)
"""For answers with tokens."""


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class SignInForm(_Said):
    email: Email


class LinksAskedFor(BaseModel):
    """The same whether or not anybody has the address."""

    link_minutes: int = int(LIFE[Purpose.SIGN_IN].total_seconds() // 60)


class LinkForm(_Said):
    """What stands in the fragment of a link."""

    link: UUID
    secret: Annotated[str, StringConstraints(pattern="^[A-Za-z0-9_-]{43}$")]


class RefreshForm(_Said):
    refresh_token: Annotated[str, StringConstraints(pattern="^[A-Za-z0-9_-]{43}$")]


@routes.post("/sign-in", status_code=202, responses=failures(HTTPStatus.TOO_MANY_REQUESTS))
async def ask_for_links(body: SignInForm, client: Client, tx: Tx) -> LinksAskedFor:
    """Whether anybody has the address is looked up later, by due work: neither answer nor time tells."""
    await limits.spend(tx, Limit("sign-ins of a client", tx.settings.sign_ins_per_client), client)
    await limits.spend_link(tx, body.email)
    tx.schedule(handlers.SEND_LINKS, uuid7(), tx.now, data={"email": body.email})
    return LinksAskedFor()


@routes.post("/sessions", status_code=201, dependencies=[NOT_KEPT], responses=failures(HTTPStatus.UNAUTHORIZED))
async def sign_in(body: LinkForm, tx: Tx) -> SessionView:
    """Opens a session by a link, which it uses up. Why it does not, it does not tell."""
    proven = links.proves(body.secret, body.link, tx.settings)
    link = await store.used_link(tx, body.link) if proven else None
    person = await _with_address_of(tx, link) if link else None
    if person is None:
        raise _unauthenticated("link_invalid", "The link was used, is over, or never was one; ask for another")
    return await sessions.opened(tx, person)


async def _with_address_of(tx: Tx, link: Link) -> Person | None:
    person = await people.locked(tx, link.person_id)
    addressee = person and confirmed(link, person)
    if person is None or addressee is None:
        return None
    here = replace(person, addressee=addressee)
    if here != person:
        await people.save(tx, [here])
    return here


@routes.post(
    "/sessions/refresh",
    response_model=SessionView,
    dependencies=[NOT_KEPT],
    responses=failures(HTTPStatus.UNAUTHORIZED),
)
async def refresh(body: RefreshForm, tx: Tx) -> SessionView | Response:
    """The next access and refresh token. A refresh token that comes again ends its session."""
    found = await sessions.refreshed(tx, body.refresh_token)
    if found is None:
        # Answered, not raised: that would take back what was revoked.
        problem = _unauthenticated("session_ended", "The session has ended; sign in again")
        return problems.answer(problem.status, problem.rule, problem.detail, headers=problem.headers)
    return found


@routes.delete("/sessions/current", status_code=204)
async def sign_out(caller: AnyCaller, tx: Tx) -> None:
    """Ends the session that the access token is of."""
    if caller.session_id is None:
        raise Refused("no_session", "The token is of no session")
    await store.revoke(tx, caller.session_id)


@routes.delete("/people/{person_id}/sessions", status_code=204)
async def sign_out_everywhere(person_id: UUID, caller: AnyCaller, tx: Tx) -> None:
    """Ends all sessions of a person; of staff, the id is the ``sub`` in their tokens."""
    if not await _may_sign_out(caller, person_id, tx):
        raise NotYours("not_your_person", "The person themselves, an admin of their company, or an operator does this")
    await store.revoke_all(tx, person_id)


async def _may_sign_out(caller: Caller, person_id: UUID, tx: Tx) -> bool:
    if caller.role is Role.OPERATOR or caller.subject == str(person_id):
        return True
    person = (await people.those(tx, [person_id])).get(person_id)
    return person is not None and caller.role is Role.COMPANY_ADMIN and caller.company_id == person.company_id


def _unauthenticated(rule: str, detail: str) -> Problem:
    return Problem(401, rule, detail, {"WWW-Authenticate": "Bearer", "Cache-Control": "no-store"})
