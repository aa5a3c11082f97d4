"""Dead letters: records that could not be handled, kept whole, for an operator to look at, replay or discard.

Guarantee 7: a dead letter is written in the transaction that marks its event handled: an event has its effect, or is a dead
letter, or is still to come; never two of these, never none.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, cast
from uuid import UUID

from sojourn_contracts.envelope import Headers
from uuid_utils.compat import uuid7

from chassis.database import Connection
from chassis.failures import cause_of

LATEST = 253_402_300_799_000
"""The end of the year 9999 in milliseconds; a record may say anything."""


class Record(Protocol):
    """A Kafka record, as aiokafka's ``ConsumerRecord`` is one."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


@dataclass(frozen=True)
class DeadRecord:
    """A record brought back from a dead letter, byte for byte."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


async def write(connection: Connection, record: Record, event_id: UUID, error: Exception) -> None:
    """Adds a dead letter; the caller marks the event handled in the same transaction."""
    await connection.execute(
        """
        insert into dead_letter (id, topic, partition, record_offset, recorded_at, key, value, headers, event_id, cause, detail)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        """,
        uuid7(),
        record.topic,
        record.partition,
        record.offset,
        datetime.fromtimestamp(min(max(record.timestamp, 0), LATEST) / 1000, UTC),
        record.key,
        record.value,
        _as_json(record.headers),
        event_id,
        _storable(cause_of(error))[:200],
        _storable(str(error))[:4000],
    )


def _storable(text: str) -> str:
    """Without what PostgreSQL takes for no text; else a record could be neither handled nor set aside."""
    return text.replace("\x00", "\\0").encode(errors="backslashreplace").decode()


def _as_json(headers: Sequence[tuple[str, bytes | None]]) -> str:
    """Headers as JSON of names and base64, so that any bytes can be kept."""
    return json.dumps([(name, None if value is None else base64.b64encode(value).decode()) for name, value in headers])


def _headers(text: str) -> list[tuple[str, bytes]]:
    pairs = cast("list[tuple[str, str | None]]", json.loads(text))
    return [(name, cast("bytes", None if value is None else base64.b64decode(value))) for name, value in pairs]


async def listing(connection: Connection, limit: int = 100) -> list[dict[str, Any]]:
    """The oldest ones that wait, without their bytes."""
    rows = await connection.fetch(
        "select id, dead_at, topic, partition, record_offset, event_id, cause, detail from dead_letter"
        " where state = 'dead' order by dead_at, id limit $1",
        limit,
    )
    return [dict(row) for row in rows]


async def show(connection: Connection, letter_id: UUID) -> dict[str, Any] | None:
    """One dead letter whole; bytes as text, with escapes where they are not UTF-8."""
    row = await connection.fetchrow(
        "select id, state, dead_at, settled_at, topic, partition, record_offset, recorded_at, event_id, cause, detail,"
        " key, value, headers from dead_letter where id = $1",
        letter_id,
    )
    if row is None:
        return None
    readable = dict(row) | {name: _readable(row[name]) for name in ("key", "value")}
    return readable | {"headers": {name: _readable(value) for name, value in _headers(row["headers"])}}


def _readable(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="backslashreplace")


async def locked(connection: Connection, letter_id: UUID) -> DeadRecord | None:
    """The record of a dead letter that waits, locked until the transaction's end; None if it does not wait."""
    row = await connection.fetchrow(
        "select topic, partition, record_offset, recorded_at, key, value, headers from dead_letter"
        " where id = $1 and state = 'dead' for update",
        letter_id,
    )
    if row is None:
        return None
    return DeadRecord(
        topic=row["topic"],
        partition=row["partition"],
        offset=row["record_offset"],
        timestamp=round(row["recorded_at"].timestamp() * 1000),
        key=row["key"],
        value=row["value"],
        headers=_headers(row["headers"]),
    )


async def settle(connection: Connection, letter_id: UUID, state: str) -> bool:
    """Marks a waiting dead letter ``replayed`` or ``discarded``; False if it does not wait."""
    return bool(
        await connection.fetchval(
            "update dead_letter set state = $2, settled_at = clock_timestamp() where id = $1 and state = 'dead' returning true",
            letter_id,
            state,
        )
    )
