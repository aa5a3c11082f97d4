"""Records that break the contract, kept whole in PostgreSQL until a version of the sink can read them.

Where a record stands in Kafka is its name, so one that is met again after a crash is there once.
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
                " values (:partition, :offset, :key, :value, cast(:headers as jsonb), :cause) on conflict do nothing"
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
    """All of them, in order."""
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
    """Where each stands, since when, and what is wrong with it; not what it says."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "select kafka_partition, kafka_offset, convert_from(key, 'UTF8') as key, cause, set_aside_at"
                " from set_aside order by kafka_partition, kafka_offset"
            )
        )
        return [dict(row) for row in rows.mappings()]


def count(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(text("select count(*) from set_aside")).scalar_one()


def forget(engine: Engine, places: Iterable[tuple[int, int]]) -> None:
    """Those at these partitions and offsets: they are in the table now."""
    found = [{"partition": partition, "offset": offset} for partition, offset in places]
    if found:
        with engine.begin() as connection:
            connection.execute(
                text("delete from set_aside where kafka_partition = :partition and kafka_offset = :offset"), found
            )


def erase(engine: Engine, record_ids: Iterable[str]) -> None:
    """Those with these keys: their tombstone has come."""
    found = [{"key": record_id.encode()} for record_id in record_ids]
    if found:
        with engine.begin() as connection:
            connection.execute(text("delete from set_aside where key = :key and value is not null"), found)
