"""Writing what counts of a topic again, after it was given more partitions: keys have moved, and compaction knows one partition
at a time.

The newest event of each subject, tombstones too, and whatever is too young to be compacted away: in the log's order, with the
same ids, sequences and generations. What stood on the topic before is deleted afterwards (docs/runbooks/partitions.md). Nothing
else may be published meanwhile: the relay's lease is held, and its producer fenced.
"""

import json
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Annotated

import asyncpg
import typer
from aiokafka.errors import KafkaError
from sojourn_contracts import catalogue
from sojourn_contracts.catalogue import STANDS_WHOLE, Visibility

from chassis.lease import LeaseLost
from chassis.reconcile import NotReconciled, alone
from chassis.relay import ROW, Published, Restored

if TYPE_CHECKING:
    from chassis.service import Process, Service

BATCH = 1_000


async def spread(process: "Process", topics: Collection[str]) -> int:
    """How many were written.

    Raises:
        NotReconciled: a relay leads, or the log and Kafka do not agree.
    """
    async with alone(process) as lease:
        producer, sent, after = process.relay.producer(), 0, 0
        try:
            await producer.start()
            published = await process.relay.position()
            async with process.pool.acquire() as connection:
                end = await connection.fetchrow(
                    "select position, generation, event_id::text from event_log order by position desc limit 1"
                )
            if end is not None and (published is None or Published(*end) != published):
                raise NotReconciled("not all of the log is published: start the service, and wait until it is")
            while published is not None and (rows := await _next(process, topics, after)):
                async with process.pool.acquire() as connection, connection.transaction():
                    await lease.check(connection)
                await process.relay.send(producer, rows, published)
                sent, after = sent + len(rows), rows[-1]["position"]
        except (LeaseLost, Restored) as reason:
            raise NotReconciled(str(reason)) from None
        finally:
            await producer.stop()
    return sent


async def _next(process: "Process", topics: Collection[str], after: int) -> list[asyncpg.Record]:
    return await process.pool.fetch(
        f"""
        select {ROW} from event_log
        where position > $1 and topic = any ($2) and (written_at > clock_timestamp() - $3::interval or not exists (
            select from event_log as later
            where later.subject = event_log.subject and later.topic = event_log.topic and later.position > event_log.position
        ))
        order by position limit $4
        """,  # noqa: S608
        after,
        topics,
        2 * STANDS_WHOLE,
        BATCH,
    )


def command(service: "Service") -> Callable[..., None]:
    """The command ``spread`` of a service."""
    from chassis.commands import failed, on_process

    def spread_topics(
        topics: Annotated[str, typer.Option(help="those that got more partitions, separated by spaces")],
    ) -> None:
        """Writes what counts of topics again, after these got more partitions. Processes of the service must be stopped."""
        # the readers of a topic for analysts go by places, and would take a record for another one
        written = {
            topic.name for topic in catalogue.emitted_by(service.name) if topic.visibility is not Visibility.ANALYSTS
        }
        wanted = [name for name in topics.split() if name in written]
        if not wanted:
            raise failed(f"{service.name} writes none of these; it writes {', '.join(sorted(written))}")
        try:
            sent = on_process(service, lambda process: spread(process, wanted))
        except NotReconciled as reason:
            raise failed(f"not written: {reason}") from None
        except KafkaError as error:
            raise failed(f"Kafka cannot be asked: {type(error).__name__}: {error}") from None
        typer.echo(json.dumps({"done": True, "topics": wanted, "sent": sent}))

    return spread_topics
