"""How a service says what it does on an event and when work falls due: decorators that leave a mark, and nothing else.

A handler is a coroutine. The chassis opens the transaction, calls it, and commits. A handler that raises is rolled back:
``failures.py`` says what is poison and what is trouble.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from sojourn_contracts.envelope import Envelope
from sojourn_contracts.event import Event

from chassis.transaction import Cause, Transaction

E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class Received(Generic[E]):
    """One event of a batch, with the transaction that works for it."""

    event: E
    envelope: Envelope
    tx: Transaction


@dataclass(frozen=True)
class Work:
    """Due work as its handler sees it."""

    id: UUID
    kind: str
    subject: str
    at: datetime
    """Programme time that it was asked for."""
    data: dict[str, Any]
    cause: Cause
    attempts: int
    loaded: Any = None
    """What an errand's ``load`` found."""


Locks = Callable[[Sequence[Envelope], Transaction], Awaitable[None]]
EventHandler = Callable[[Any, Transaction], Awaitable[None]]
BatchHandler = Callable[[Sequence[Any]], Awaitable[None]]
WorkHandler = Callable[[Work, Transaction], Awaitable[None]]
WorkBatchHandler = Callable[[Sequence[tuple[Work, Transaction]]], Awaitable[None]]
EraseHandler = Callable[[UUID, Transaction], Awaitable[None]]
Load = Callable[[Work, Transaction], Awaitable[Any]]
Call = Callable[[Work], Awaitable[Any]]
Outcome = Callable[[Work, Any, Transaction], Awaitable[None]]


@dataclass(frozen=True)
class LocksFirst:
    """Called with all events and tombstones of a batch before any of its handlers, to lock what they will in one order.

    Handlers are called in the order of the batch: two batches of two processes that lock as they go end up in a deadlock.
    """

    lock: Locks


@dataclass(frozen=True)
class OnEvent:
    """Called once per event, in the batch's transaction."""

    event: type[Event]
    handle: EventHandler


@dataclass(frozen=True)
class OnEvents:
    """Called once with all events of this kind in the batch, each with its own ``tx``; for set-based SQL.

    Kinds that share a handler come to it in one call, in the order of the batch.
    """

    event: type[Event]
    handle: BatchHandler


@dataclass(frozen=True)
class OnErasure:
    """Called with the subject's id when a tombstone arrives on the event's topic."""

    event: type[Event]
    handle: EraseHandler


@dataclass(frozen=True)
class OnDue:
    """Called once per due work, in the batch's transaction."""

    kind: str
    handle: WorkHandler


@dataclass(frozen=True)
class OnAllDue:
    """Called once with all work of this kind in the batch; for set-based SQL."""

    kind: str
    handle: WorkBatchHandler


@dataclass(frozen=True)
class Errand:
    """Due work that talks to the outside.

    ``call`` runs without a transaction and may repeat; ``outcome`` stores its result in a transaction of its own, if the
    attempt is still the latest one. What ``call`` needs from the database or the settings, ``load`` reads for each attempt,
    in a transaction of its own: ``call`` has it as ``work.loaded``.
    """

    kind: str
    call: Call
    outcome: Outcome
    load: Load | None = None


Door = LocksFirst | OnEvent | OnEvents | OnErasure | OnDue | OnAllDue | Errand


def locks_first(lock: Locks) -> LocksFirst:
    """Declares what is locked before a batch is handled: ``async def lock(envelopes, tx)``."""
    return LocksFirst(lock)


def consumes(event: type[E]) -> Callable[[Callable[[E, Transaction], Awaitable[None]]], OnEvent]:
    """Declares the handler of an event: ``async def handler(event, tx)``."""
    return lambda handle: OnEvent(event, handle)


def consumes_all(event: type[E]) -> Callable[[Callable[[Sequence[Received[E]]], Awaitable[None]]], OnEvents]:
    """Declares a handler that takes all events of a batch at once: ``async def handler(received)``."""
    return lambda handle: OnEvents(event, handle)


def erases(event: type[Event]) -> Callable[[EraseHandler], OnErasure]:
    """Declares what a tombstone does: ``async def handler(subject, tx)``; it must not raise for an unknown subject."""
    return lambda handle: OnErasure(event, handle)


def on_due(kind: str) -> Callable[[WorkHandler], OnDue]:
    """Declares the handler of due work: ``async def handler(work, tx)``."""
    return lambda handle: OnDue(kind, handle)


def on_all_due(kind: str) -> Callable[[WorkBatchHandler], OnAllDue]:
    """Declares a handler that takes all due work of a batch at once."""
    return lambda handle: OnAllDue(kind, handle)
