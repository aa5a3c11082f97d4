"""All the SQL about links and sessions. Their times are the wall clock's, by the database."""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from chassis.transaction import Transaction

from registration.sign_in.domain import LIFE, Link, Purpose, Session, StaffPart

_CHUNK = 1_000


async def add_links(tx: Transaction, links: Iterable[Link]) -> None:
    """Links that live from now on."""
    await tx.connection.executemany(
        """
        insert into link (link_id, person_id, purpose, email, expires_at)
        values ($1, $2, $3, $4, clock_timestamp() + $5::interval)
        """,
        [(link.link_id, link.person_id, link.purpose, link.email, LIFE[link.purpose]) for link in links],
    )


async def used_link(tx: Transaction, link_id: UUID) -> Link | None:
    """Uses the link up; None if there is none, or it was used, or its time has passed. Of several at once, one has it."""
    row = await tx.connection.fetchrow(
        """
        update link set used_at = clock_timestamp()
        where link_id = $1 and used_at is null and expires_at > clock_timestamp()
        returning person_id, purpose, email
        """,
        link_id,
    )
    return Link(link_id, row["person_id"], Purpose(row["purpose"]), row["email"]) if row else None


async def link_address(tx: Transaction, link_id: UUID) -> str | None:
    """Where a link is to be sent; None if it is good for nothing any more."""
    return await tx.connection.fetchval(
        "select email from link where link_id = $1 and used_at is null and expires_at > clock_timestamp()", link_id
    )


async def awaited_address(tx: Transaction, person_id: UUID) -> str | None:
    """The address that becomes the person's with a link that is on its way."""
    return await tx.connection.fetchval(
        """
        select email from link where person_id = $1 and purpose = 'address'
        and used_at is null and expires_at > clock_timestamp()
        """,
        person_id,
    )


async def drop_address_links(tx: Transaction, person_id: UUID) -> None:
    """An address that somebody gave before the latest one is not to become theirs."""
    await tx.connection.execute("delete from link where person_id = $1 and purpose = 'address'", person_id)


async def add_session(tx: Transaction, session: Session, life: timedelta, digest: bytes) -> None:
    """A session from now on, with its first refresh token."""
    staff = session.staff
    await tx.connection.execute(
        """
        with opened as (
            insert into session (session_id, subject, person_id, role, country, expires_at)
            values ($1, $2, $3, $4, $5, clock_timestamp() + $6::interval)
            returning session_id
        )
        insert into refresh_token (digest, session_id) select $7, session_id from opened
        """,
        session.session_id,
        session.subject,
        None if staff else session.subject,
        staff and staff.role,
        staff and staff.country,
        life,
        digest,
    )


async def locked_session(tx: Transaction, session_id: UUID) -> Session | None:
    """None if it has ended."""
    row = await tx.connection.fetchrow(
        """
        select subject, role, country from session
        where session_id = $1 and revoked_at is null and expires_at > clock_timestamp() for update
        """,
        session_id,
    )
    if row is None:
        return None
    return Session(session_id, row["subject"], StaffPart(row["role"], row["country"]) if row["role"] else None)


async def add_refresh_token(tx: Transaction, session_id: UUID, digest: bytes) -> None:
    await tx.connection.execute("insert into refresh_token (digest, session_id) values ($1, $2)", digest, session_id)


async def rotated(tx: Transaction, digest: bytes) -> UUID | None:
    """The session whose refresh token this was until now; None if it is not known, or was rotated before."""
    return await tx.connection.fetchval(
        """
        update refresh_token set rotated_at = clock_timestamp() where digest = $1 and rotated_at is null
        returning session_id
        """,
        digest,
    )


async def revoke_of(tx: Transaction, digest: bytes) -> UUID | None:
    """Ends the session that the refresh token is or was of; the session's id, if it had not ended."""
    return await tx.connection.fetchval(
        """
        update session set revoked_at = clock_timestamp() from refresh_token
        where refresh_token.digest = $1 and session.session_id = refresh_token.session_id and revoked_at is null
        returning session.session_id
        """,
        digest,
    )


async def revoke(tx: Transaction, session_id: UUID) -> None:
    await tx.connection.execute(
        "update session set revoked_at = clock_timestamp() where session_id = $1 and revoked_at is null", session_id
    )


async def revoke_all(tx: Transaction, subject: UUID) -> None:
    """Ends every session of a person."""
    await tx.connection.execute(
        "update session set revoked_at = clock_timestamp() where subject = $1 and revoked_at is null", subject
    )


async def add_oidc_sign_in(tx: Transaction, sign_in_id: UUID) -> None:
    """Somebody was sent to the OpenID provider, and has ten minutes to come back."""
    await tx.connection.execute(
        "insert into oidc_sign_in (sign_in_id, expires_at) values ($1, clock_timestamp() + interval '10 minutes')",
        sign_in_id,
    )


async def taken_oidc_sign_in(tx: Transaction, sign_in_id: UUID) -> bool:
    """Whether somebody came back in time, and for the first time."""
    return bool(
        await tx.connection.fetchval(
            "delete from oidc_sign_in where sign_in_id = $1 and expires_at > clock_timestamp() returning true",
            sign_in_id,
        )
    )


async def forget_ended(tx: Transaction) -> None:
    """Removes, some at a time, what says nothing any more once it has ended; what another transaction holds, a later one does.

    Links and sessions stay for as many days as the settings say: that a refresh token was used before is known for as long.
    """
    for table, key, ended in (("rate_limit", "bucket", "used_until"), ("oidc_sign_in", "sign_in_id", "expires_at")):
        await tx.connection.execute(
            f"""
            delete from {table} where {key} in (
                select {key} from {table} where {ended} < clock_timestamp() limit {_CHUNK} for update skip locked
            )
            """  # noqa: S608
        )
