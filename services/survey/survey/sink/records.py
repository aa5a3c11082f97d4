"""Kafka records as rows of the table: a whole batch at once, and one by one where that fails.

Both ways keep what the contract allows and nothing else. What it does not allow is told with its cause, never dropped.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Annotated, Any, Protocol

import pyarrow as pa
from pyarrow import compute
from pyarrow import json as arrow_json
from pydantic import TypeAdapter, ValidationError
from pyiceberg.io.pyarrow import schema_to_pyarrow
from sojourn_contracts import envelope
from sojourn_contracts.envelope import Headers, Malformed
from sojourn_contracts.survey import Answer, SurveySubmitted

from survey.sink.table import SCHEMA

pc: Any = compute
"""Its functions are made when it is imported: a type checker sees none."""

_PLACE = ("kafka_partition", "kafka_offset")
_OWN = ("event_id", *_PLACE)
"""Columns that are not fields of the event."""
_UUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_TYPE = SurveySubmitted.type().encode()
_LONG = 2**63


class Record(Protocol):
    """What is used of aiokafka's ``ConsumerRecord``."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


@dataclass(frozen=True)
class Unreadable:
    """A record that breaks the contract, and how."""

    record: Record
    cause: str


@dataclass(frozen=True)
class Batch:
    """What some records say, in their order."""

    rows: pa.Table
    """With the table's columns, and after them those of fields that it does not have yet."""
    erased: frozenset[str]
    """Record ids whose tombstones were among them; none of their rows is in ``rows``."""
    unreadable: tuple[Unreadable, ...]


def row_schema(more: Iterable[pa.Field] = ()) -> pa.Schema:
    """Arrow's schema of the rows that are appended, with columns that the table has beyond our own."""
    own = schema_to_pyarrow(SCHEMA, include_field_ids=False)
    answers = pa.map_(pa.string(), pa.field("value", pa.string(), nullable=False))
    fields = [
        pa.field(field.name, answers if field.name == "answers" else _short(field.type), nullable=False)
        for field in own
    ]
    return pa.schema([*fields, *more])


def _short(kind: pa.DataType) -> pa.DataType:
    return pa.string() if kind == pa.large_string() else kind


_ROWS = row_schema()


class Reader:
    """Reads batches; what it has found out about codes and values in one makes the next one cheaper."""

    def __init__(self) -> None:
        self._codes: list[str] = []
        self._allowed: set[tuple[str, Any]] = set()
        kinds: dict[str, Any] = {
            name: Annotated[field.annotation, field]
            for name, field in SurveySubmitted.model_fields.items()
            if name not in ("record_id", "released_on") and field.annotation is not str
        }
        kinds["answers"] = Answer
        self._contract = {name: TypeAdapter(kind) for name, kind in kinds.items()}

    def read(self, records: Sequence[Record], more: Sequence[pa.Field]) -> Batch:
        """``more``: columns that the table has beyond ``SCHEMA``."""
        events = [record for record in records if record.value is not None]
        erased, unreadable = _tombstones(record for record in records if record.value is None)
        try:
            rows = self._together(events, more)
        except (_OneByOneError, pa.ArrowException, UnicodeDecodeError):
            rows, bad = _one_by_one(events, more)
            unreadable += bad
        if erased:
            rows = rows.filter(pc.invert(pc.is_in(rows["record_id"], pa.array(sorted(erased), pa.string()))))
        return Batch(rows, frozenset(erased), tuple(unreadable))

    def _together(self, events: Sequence[Record], more: Sequence[pa.Field]) -> pa.Table:
        """Raises _OneByOneError, or what Arrow raises, when anything is not as it usually is."""
        if not events:
            return row_schema(more).empty_table()
        values = [event.value or b"" for event in events]
        found = self._parsed(b"\n".join(values), more)
        if len(found) != len(events) or not all(value.startswith(b"{") for value in values):
            raise _OneByOneError  # else one of two objects could pass for an empty record beside it
        ids = pa.array([_event_id(event.headers) for event in events], pa.string())
        keys = pa.array([(event.key or b"").decode() for event in events], pa.string())
        if not pc.all(pc.equal(keys, found["record_id"])).as_py():
            raise _OneByOneError
        for texts in (ids, keys):
            if not pc.all(pc.match_substring_regex(texts, _UUID)).as_py():
                raise _OneByOneError
        columns: dict[str, Any] = {name: found[name] for name in found.column_names}
        columns["released_on"] = pc.cast(found["released_on"], pa.date32())
        columns["answers"] = pa.chunked_array([_as_map(chunk) for chunk in found["answers"].chunks], _ANSWERS)
        columns["event_id"] = ids
        columns["kafka_partition"] = pa.array([event.partition for event in events], pa.int32())
        columns["kafka_offset"] = pa.array([event.offset for event in events], pa.int64())
        if any(columns[name].null_count for name in _ROWS.names):
            raise _OneByOneError
        self._check_values(columns)
        schema = row_schema(more)
        return pa.table([columns[name] for name in schema.names], schema=schema)

    def _parsed(self, lines: bytes, more: Sequence[pa.Field]) -> pa.Table:
        """Codes that were not seen before are read as texts, too, and not as what their answers look like."""
        while True:
            found = arrow_json.read_json(
                pa.BufferReader(lines),
                parse_options=arrow_json.ParseOptions(_explicit(self._codes, more), unexpected_field_behavior="infer"),
            )
            if len(found.column_names) != len(_ROWS) - len(_OWN) + len(more):
                raise _OneByOneError
            codes = [field.name for field in found.schema.field("answers").type]
            if len(codes) == len(self._codes):
                return found
            if len(codes) > _MANY_CODES:
                raise _OneByOneError
            self._codes = codes

    def _check_values(self, columns: dict[str, Any]) -> None:
        """The contract looks at each distinct value once."""
        for name, contract in self._contract.items():
            values = columns[name]
            if name == "answers":
                values = pa.chunked_array([chunk.items for chunk in values.chunks], pa.string())
            for value in pc.unique(values).to_pylist():
                if (name, value) not in self._allowed:
                    try:
                        contract.validate_python(value)
                    except ValidationError:
                        raise _OneByOneError from None
                    if len(self._allowed) < _MANY_VALUES:
                        self._allowed.add((name, value))


_MANY_CODES = 1_000
_MANY_VALUES = 10_000
_ANSWERS = _ROWS.field("answers").type


class _OneByOneError(Exception):
    """Something in the batch is not as it usually is: each record is looked at by itself."""


def _explicit(codes: Sequence[str], more: Sequence[pa.Field]) -> pa.Schema:
    """How JSON is read: days as texts, answers as objects."""
    instead = {"released_on": pa.string(), "answers": pa.struct([(code, pa.string()) for code in codes])}
    fields = [pa.field(field.name, instead.get(field.name, field.type)) for field in _ROWS if field.name not in _OWN]
    return pa.schema([*fields, *more])


def _event_id(headers: Headers) -> str:
    attributes = dict(headers)
    if attributes.get("ce_type") != _TYPE or attributes.get("ce_specversion") != b"1.0":
        raise _OneByOneError
    return attributes.get("ce_id", b"").decode()


def _as_map(answers: pa.StructArray) -> pa.MapArray:
    """Objects as maps: each row's codes that have an answer, in the order of the codes."""
    count, names = len(answers), [field.name for field in answers.type]
    if answers.null_count or not count or not names:
        if answers.null_count:
            raise _OneByOneError
        return pa.array([[]] * count, _ANSWERS)
    columns = [answers.field(index) for index in range(len(names))]
    there = [column.is_valid() for column in columns]
    places = pc.indices_nonzero(pa.concat_arrays(there))
    codes = pc.divide(places, pa.scalar(count, pa.uint64()))
    rows = pc.subtract(places, pc.multiply(codes, pa.scalar(count, pa.uint64())))
    order = pc.sort_indices(rows)
    lengths = reduce(pc.add, (valid.cast(pa.int32()) for valid in there))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    return pa.MapArray.from_arrays(
        offsets,
        pa.array(names, pa.string()).take(codes.take(order)),
        pa.concat_arrays(columns).take(places.take(order)),
        type=_ANSWERS,
    )


def _tombstones(records: Iterable[Record]) -> tuple[set[str], list[Unreadable]]:
    erased: set[str] = set()
    unreadable: list[Unreadable] = []
    for record in records:
        try:
            erased.add(str(_decoded(record).subject))
        except Malformed as error:
            unreadable.append(Unreadable(record, str(error)))
    return erased, unreadable


def _decoded(record: Record) -> envelope.Envelope:
    found = envelope.decode(record.value, record.headers)
    if found.event is not SurveySubmitted:
        raise Malformed("ce_type", f"is {found.event.type()}, which does not belong on this topic")
    return found


def _one_by_one(records: Sequence[Record], more: Sequence[pa.Field]) -> tuple[pa.Table, list[Unreadable]]:
    columns = {field.name: field.type for field in more}
    rows: list[dict[str, Any]] = []
    unreadable: list[Unreadable] = []
    for record in records:
        try:
            rows.append(_row(record, columns))
        except Malformed as error:
            unreadable.append(Unreadable(record, str(error)))
    schema = row_schema(pa.field(name, kind) for name, kind in columns.items())
    return pa.Table.from_pylist(rows, schema), unreadable


def _row(record: Record, columns: dict[str, pa.DataType]) -> dict[str, Any]:
    """The row of an event; ``columns`` gets those that it brings. Raises Malformed."""
    found = _decoded(record)
    event = found.data
    assert isinstance(event, SurveySubmitted)  # noqa: S101 - for the type checker: tombstones are elsewhere
    if record.key != str(event.record_id).encode():
        raise Malformed("key", "is not the record_id")
    row: dict[str, Any] = {
        "event_id": str(found.id),
        "kafka_partition": record.partition,
        "kafka_offset": record.offset,
    }
    brought: dict[str, pa.DataType] = {}
    for name, value in (event.model_extra or {}).items():
        if value is None:
            continue
        if name in _OWN or not name.isidentifier():
            raise Malformed(f"data.{name}", "cannot be the name of a column")
        kind, text = _column(value)
        known = columns.get(name, kind)
        if not (kind == known or (kind == pa.int64() and known == pa.float64())):
            raise Malformed(f"data.{name}", f"is {kind}, but earlier events had {known}")
        brought[name] = known
        row[name] = text
    columns |= brought
    own = event.model_dump(mode="json", include=set(SurveySubmitted.model_fields))
    return row | own | {"released_on": event.released_on, "answers": list(event.answers.items())}


def _column(value: Any) -> tuple[pa.DataType, Any]:
    """The type of an optional field's column by its first value, and the value in it: objects and lists as JSON."""
    if isinstance(value, bool):
        return pa.bool_(), value
    if isinstance(value, int) and -_LONG <= value < _LONG:
        return pa.int64(), value
    if isinstance(value, int | float):
        return pa.float64(), float(value)
    return pa.string(), value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
