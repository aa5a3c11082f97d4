"""What the chassis' tests work with: events, a service that notes what it handles, and transactions to emit in."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from chassis.database import Pool
from chassis.doors import Door, OnErasure, OnEvent, OnEvents
from chassis.service import Service
from chassis.transaction import Cause, Transaction
from sojourn_contracts import catalogue
from sojourn_contracts.company import CompanyWithdrawn
from sojourn_contracts.event import Event
from sojourn_contracts.exchange import ExchangeCancelled
from sojourn_contracts.match import MatchDeclined
from uuid_utils.compat import uuid7

from tests.chassis_driver import NOON
from tests.contracts.examples import example

SERVICE = "exchange"
MIGRATIONS = Path(__file__).parent / "ledger"
"""One table more than the chassis has: ``effect``."""

E = TypeVar("E", bound=Event)


def an(kind: type[E], subject: UUID | None = None, **changes: Any) -> E:
    """An event like the canonical example, about another subject."""
    return kind.model_validate(example(kind.__name__).value | {kind.key: subject or uuid7()} | changes)


def withdrawn(company_id: UUID | None = None, **changes: Any) -> CompanyWithdrawn:
    """What the service consumes."""
    return an(CompanyWithdrawn, company_id, **changes)


def declined(match_id: UUID | None = None, **changes: Any) -> MatchDeclined:
    """What the service emits."""
    return an(MatchDeclined, match_id, **changes)


def cancelled(exchange_id: UUID | None = None, **changes: Any) -> ExchangeCancelled:
    """What the service emits, too, on another topic."""
    return an(ExchangeCancelled, exchange_id, **changes)


async def note(event: Event, tx: Transaction) -> None:
    """The effect that can be counted."""
    await tx.connection.execute(
        "insert into effect (subject, note) values ($1, $2)", event.subject, type(event).__name__
    )


async def note_the_erasure(subject: UUID, tx: Transaction) -> None:
    await tx.connection.execute("delete from effect where subject = $1", subject)
    await tx.connection.execute("insert into effect (subject, note) values ($1, 'erased')", subject)


def a_service(*doors: Door, withdrawal: Callable[[Any, Transaction], Awaitable[None]] = note) -> Service:
    """Notes every event; ``withdrawal`` handles a CompanyWithdrawn; further doors come on top or instead."""
    given = {door.event for door in doors if isinstance(door, OnEvent | OnEvents)}
    events = {topic.event for topic in catalogue.consumed_by(SERVICE)} - given
    notes = [OnEvent(event, withdrawal if event is CompanyWithdrawn else note) for event in events]
    return Service(SERVICE, MIGRATIONS, (*notes, OnErasure(CompanyWithdrawn, note_the_erasure), *doors))


@asynccontextmanager
async def transaction(pool: Pool, cause: Cause | None = None, service: str = SERVICE) -> AsyncGenerator[Transaction]:
    """What a process of the service opens for a piece of work."""
    async with pool.acquire() as connection, connection.transaction():
        tx = Transaction(connection, service, NOON, cause or Cause())
        yield tx
        await tx.flush()


async def emit(pool: Pool, *events: Event) -> None:
    """Emits them in one transaction."""
    async with transaction(pool) as tx:
        tx.emit(*events)
