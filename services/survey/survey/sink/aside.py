"""Records that break the contract, kept whole in PostgreSQL: they wait for a version of the sink that can read them.

Where a record stands in Kafka is its name, so one that is met again after a crash is there once. One that was read stays until
it is erased: the offsets are past it, so a table that goes back to an earlier snapshot gets it from here or not at all.
"""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, text

from survey.sink.records import Record, Unreadable


@dataclass(frozen=True)
class Kept:
    """A record as it was read from Kafka."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


def keep(engine: Engine, unreadable: Sequence[Unreadable]) -> None:
    """Before the offsets move past them."""
    if not unreadable:
        return
    with engine.begin() as connection:
        connection.execute(
            text(
                "insert into set_aside (kafka_partition, kafka_offset, key, value, headers, cause)"
                " values (:partition, :offset, :key, :value, cast(:headers as jsonb), :cause)"
                " on conflict (kafka_partition, kafka_offset) do update set cause = excluded.cause, read_at = null"
            ),
            [
                {
                    "partition": each.record.partition,
                    "offset": each.record.offset,
                    "key": each.record.key,
                    "value": each.record.value,
                    "headers": _as_json(each.record),
                    "cause": each.cause.replace("\x00", "\\0").encode(errors="backslashreplace").decode()[:4000],
                }
                for each in unreadable
            ],
        )


def _as_json(record: Record) -> str:
    """Names and base64, so that any bytes can be kept."""
    found = [(name, None if value is None else base64.b64encode(value).decode()) for name, value in record.headers]
    return json.dumps(found).replace("\\u0000", "\\ufffd")


def kept(engine: Engine) -> list[Kept]:
    """All of them, also those that were read, in order."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "select kafka_partition, kafka_offset, key, value, headers from set_aside"
                " order by kafka_partition, kafka_offset"
            )
        ).all()
    return [
        Kept(
            row.kafka_partition,
            row.kafka_offset,
            None if row.key is None else bytes(row.key),
            None if row.value is None else bytes(row.value),
            [(name, b"" if value is None else base64.b64decode(value)) for name, value in row.headers],
        )
        for row in rows
    ]


def listing(engine: Engine) -> list[Mapping[str, Any]]:
    """Where each stands that waits, since when, and what is wrong with it; not what it says."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "select kafka_partition, kafka_offset, encode(key, 'escape') as key, cause, set_aside_at"
                " from set_aside where read_at is null order by kafka_partition, kafka_offset"
            )
        )
        return [dict(row) for row in rows.mappings()]


def count(engine: Engine) -> int:
    """How many wait."""
    with engine.connect() as connection:
        return connection.execute(text("select count(*) from set_aside where read_at is null")).scalar_one()


def were_read(engine: Engine, places: Iterable[tuple[int, int]]) -> None:
    """Notes that what these partitions and offsets hold is in the table now."""
    found = [{"partition": partition, "offset": offset} for partition, offset in places]
    if found:
        with engine.begin() as connection:
            connection.execute(
                text(
                    "update set_aside set read_at = clock_timestamp()"
                    " where kafka_partition = :partition and kafka_offset = :offset and read_at is null"
                ),
                found,
            )


def erase(engine: Engine, record_ids: Iterable[str]) -> None:
    """Those with these keys: their tombstone has come."""
    found = [{"key": record_id.encode()} for record_id in record_ids]
    if found:
        with engine.begin() as connection:
            connection.execute(text("delete from set_aside where key = :key and value is not null"), found)
