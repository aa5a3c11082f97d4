"""Publishing a service's events again, for one subscriber: from the log, with the same ids, to a topic of the subscriber's own.

It is not the relay: it has a producer of its own under a client id of its own, no transaction and no lease, and publishes nowhere
that a service reads or writes. Each record is what the relay sent, headers and all; what was erased since comes as a tombstone.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import asyncpg
import typer
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from sojourn_contracts import catalogue
from sojourn_contracts.catalogue import Visibility, reserved

from chassis.brokers import Brokers
from chassis.database import Pool
from chassis.relay import ROW, record

if TYPE_CHECKING:
    from chassis.service import Process, Service

BATCH = 500
"""Events that are sent at once; after each batch it is told how far it is."""

Say = Callable[[int, int], None]
"""Is told the position up to which all was sent, and how many events that were."""


class NotReplayed(ValueError):  # noqa: N818 - it says what will not be done
    """What was asked for is not done; the text says why."""


@dataclass(frozen=True)
class Wanted:
    """Events of the log: on these topics, after a position and up to one, written in a stretch of wall time."""

    topics: Collection[str]
    after: int = 0
    until: int | None = None
    since: datetime | None = None
    before: datetime | None = None


def topics_of(service: str, names: Collection[str]) -> list[str]:
    """Those that are asked for, or all public ones that the service writes.

    Raises:
        NotReplayed: the service does not write one of them, or it is internal, so that nobody outside may have it; or none is
            asked for, and none is public.
    """
    emitted = {topic.name: topic for topic in catalogue.emitted_by(service)}
    for name in names:
        if name not in emitted:
            raise NotReplayed(f"{service} writes no topic {name}; it writes {', '.join(emitted)}")
        if emitted[name].visibility is Visibility.INTERNAL:
            raise NotReplayed(f"{name} is internal: nobody but the services may have it")
    public = [name for name, topic in emitted.items() if topic.visibility is Visibility.PUBLIC]
    if not names and not public:
        raise NotReplayed(f"{service} writes no public topic; name one that the subscriber is granted")
    return list(names) or public


async def replay(service: str, pool: Pool, brokers: Brokers, to: str, wanted: Wanted, rate: float, say: Say) -> int:
    """Sends what is wanted, in the log's order and at most ``rate`` events a second; returns how many.

    Stopped or killed, it is gone on with by ``after``, the position that was told last: what was sent after it comes again, under
    the same ids.

    Raises:
        NotReplayed: ``to`` is a topic of the services, or does not exist.
    """
    if reason := reserved(to):
        raise NotReplayed(f"not replayed to {to}: {reason}; name a topic of the subscriber's own")
    await _must_exist(service, brokers, to)
    producer = AIOKafkaProducer(
        **brokers.client(),
        client_id=f"{service}.replay",
        enable_idempotence=True,
        max_request_size=catalogue.MAX_RECORD_BYTES + 50_000,
        max_batch_size=256_000,
    )
    try:
        await producer.start()
        return await _send(service, pool, producer, to, wanted, rate, say)
    finally:
        await producer.stop()


async def _must_exist(service: str, brokers: Brokers, topic: str) -> None:
    admin = AIOKafkaAdminClient(**brokers.client(), client_id=f"{service}.replay")
    try:
        await admin.start()
        if topic not in await admin.list_topics():
            raise NotReplayed(
                f"there is no topic {topic} that {service} knows of: the broker's administrator makes it, and the grants name it"
            )
    finally:
        await admin.close()


async def _send(
    service: str, pool: Pool, producer: AIOKafkaProducer, to: str, wanted: Wanted, rate: float, say: Say
) -> int:
    began, sent = time.monotonic(), 0
    async for rows in _batches(pool, wanted, min(BATCH, max(1, int(rate)))):
        deliveries: list[asyncio.Future[object]] = []
        for row in rows:
            key, value, headers = record(service, row)
            deliveries.append(await producer.send(to, value=value, key=key, headers=headers))
        for delivery in deliveries:
            await delivery
        sent += len(rows)
        say(rows[-1]["position"], sent)
        await asyncio.sleep(began + sent / rate - time.monotonic())
    return sent


async def _batches(pool: Pool, wanted: Wanted, size: int) -> AsyncGenerator[list[asyncpg.Record]]:
    """Each read by itself, so that nothing is held open while it is sent."""
    after = wanted.after
    while rows := await pool.fetch(
        f"""
        select {ROW} from event_log
        where position > $1 and ($2::bigint is null or position <= $2) and topic = any ($3)
          and ($4::timestamptz is null or written_at >= $4) and ($5::timestamptz is null or written_at < $5)
        order by position limit $6
        """,  # noqa: S608
        after,
        wanted.until,
        wanted.topics,
        wanted.since,
        wanted.before,
        size,
    ):
        yield rows
        after = rows[-1]["position"]


def command(service: "Service") -> Callable[..., None]:
    """The command ``replay`` of a service."""
    from chassis.commands import failed, on_process

    def replay_events(
        to: Annotated[str, typer.Option(help="the subscriber's own topic; it must exist, and be none of ours")],
        topics: Annotated[str, typer.Option(help="those to replay, separated by commas; unset, all public ones")] = "",
        after: Annotated[int, typer.Option(min=0, help="only what stands after this position, as told before")] = 0,
        until: Annotated[int | None, typer.Option(min=1, help="only up to this position")] = None,
        since: Annotated[datetime | None, typer.Option(help="only what was written then or later, in UTC")] = None,
        before: Annotated[datetime | None, typer.Option(help="only what was written before, in UTC")] = None,
        rate: Annotated[float, typer.Option(min=0.1, max=100_000, help="events a second at most")] = 1_000,
    ) -> None:
        """Publishes events of the log again, under the same ids, to a topic of one subscriber's own.

        Tells as JSON how far it is, a line for each batch: a later run goes on from the last position by --after.
        """

        async def run(process: "Process") -> int:
            wanted = Wanted(topics_of(service.name, _names(topics)), after, until, _utc(since), _utc(before))
            brokers = process.settings.brokers
            return await replay(service.name, process.pool, brokers, to, wanted, rate, _tell)

        try:
            sent = on_process(service, run)
        except NotReplayed as reason:
            raise failed(str(reason)) from None
        except KafkaError as error:
            raise failed(f"Kafka cannot be asked: {type(error).__name__}: {error}") from None
        typer.echo(json.dumps({"done": True, "sent": sent}))

    return replay_events


def _tell(position: int, sent: int) -> None:
    typer.echo(json.dumps({"position": position, "sent": sent}))


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _utc(time_: datetime | None) -> datetime | None:
    return time_ and (time_.replace(tzinfo=UTC) if time_.tzinfo is None else time_)
