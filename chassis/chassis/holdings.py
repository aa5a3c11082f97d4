"""What a service holds on a person or a company: which rows of which tables, to export them, and to look whether they are erased.

Guarantee 21: an export has every row that holds the id of who it is about. A service says of each of its tables where that
is, and a test compares that with the tables that there are.
"""

# ruff: noqa: S608 - what is put into SQL are names of our own and UUIDs
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from sojourn_contracts.refusal import NotYours

from chassis.database import Connection
from chassis.http import Tx
from chassis.identity import Caller, Role, requires
from chassis.transaction import EMPTY_LOG

Kind = Literal["person", "company"]
SEARCH_LOG = "empty_log_of"
ERASURE_DONE = "erasure_done"
"""Due work that searches the log for somebody, and that looks whether anything is left of them: both name them."""


@dataclass(frozen=True)
class Holding:
    """A table, its columns, and the rows of it that are about a person or a company; None where no row is.

    The conditions are SQL, with ``{id}`` for whose rows are wanted and ``{subjects}`` for the ids of what they are at.
    """

    table: str
    columns: str
    person: str | None = None
    company: str | None = None
    shown_to_person: str | None = None
    """What a person's export has instead of the columns, where such a row tells of others as well; SQL with ``{id}``."""

    def of(self, kind: Kind) -> str | None:
        return self.person if kind == "person" else self.company


def about(table: str, columns: str, condition: str) -> Holding:
    """A table of which the same rows are about either."""
    return Holding(table, columns, condition, condition)


_NAMED = "position({id}::text in %s) > 0"
_TOLD = f"(subject = {{id}} or subject in ({{subjects}}) or {_NAMED % 'data'}) and data is not null"
_OF_EVERY_SERVICE = (
    about(
        "outbox",
        "id, event_id, topic, type, dataschema, subject, time, data, correlation_id, causation_id, traceparent, written_at",
        _TOLD,
    ),
    about(
        "event_log",
        "position, generation, topic, sequence, event_id, type, dataschema, subject, time, data, correlation_id,"
        " causation_id, traceparent, written_at, adopted",
        _TOLD,
    ),
    about(
        "due",
        "id, kind, subject, at, not_before, data, correlation_id, causation_id, traceparent, attempts, claimed_until,"
        " parked_at, cause",
        f"(subject = {{id}}::text or subject in (select each::text from ({{subjects}}) as at (each)) or {_NAMED % 'data::text'})"
        f" and kind not in ('{EMPTY_LOG}', '{SEARCH_LOG}', '{ERASURE_DONE}')",
    ),
    about(
        "dead_letter",
        "id, topic, partition, record_offset, recorded_at, key, value, headers, event_id, cause, detail, state, dead_at,"
        " settled_at",
        f"position(convert_to({{id}}::text, 'UTF8') in coalesce(key, '') || coalesce(value, '')) > 0 or {_NAMED % 'detail'}"
        " or position(encode(convert_to({id}::text, 'UTF8'), 'base64') in headers::text) > 0",
    ),
    about("answer", "scope, key, digest, body, made_at", f"{_NAMED % 'scope'} or {_NAMED % 'body::text'}"),
)

NOBODY: Mapping[str, str] = {
    "inbox": "ids of events",
    "erased": "bare ids of who and what was erased",
    "lease": "which process leads",
    "manifest": "up to where which topic's events are covered",
    "raised": "bare ids of what was told of before a restore",
    "log_generation": "how often the log was restored",
}
"""Tables of every service that hold nothing on anybody, and what they hold instead."""


class Export(BaseModel):
    """All that one service holds on a person or a company, by table, as it stands there."""

    service: str
    kind: Kind
    id: UUID
    exported_at: datetime
    held: dict[str, list[dict[str, Any]]]


class Holdings:
    """A service's tables, those that every service has included."""

    def __init__(self, tables: Sequence[Holding], subjects: str) -> None:
        """``subjects``: SQL that selects the ids of what a person or company, ``{id}``, is at: exchanges, matches."""
        self.tables = (*tables, *_OF_EVERY_SERVICE)
        self._subjects = subjects

    def _where(self, holding: Holding, kind: Kind, whose: UUID) -> str | None:
        condition, id_ = holding.of(kind), f"'{whose}'::uuid"
        return condition and condition.format(id=id_, subjects=self._subjects.format(id=id_))

    async def on(self, connection: Connection, kind: Kind, whose: UUID) -> dict[str, list[dict[str, Any]]]:
        """All rows on a person or a company, by table."""
        found = dict[str, list[dict[str, Any]]]()
        for holding in self.tables:
            if where := self._where(holding, kind, whose):
                columns = (holding.shown_to_person if kind == "person" else None) or holding.columns
                shown = columns.format(id=f"'{whose}'::uuid")
                rows = await connection.fetch(
                    f"select to_jsonb(row) as row from (select {shown} from {holding.table} where {where}) as row"
                )
                found[holding.table] = [json.loads(row["row"]) for row in rows]
        return found

    async def left(self, connection: Connection, kind: Kind, whose: UUID) -> list[str]:
        """Names of the tables with such rows, but for the log, which is searched by work of its own."""
        return [
            holding.table
            for holding in self.tables
            if holding.table != "event_log"
            and (where := self._where(holding, kind, whose))
            and await connection.fetchval(f"select exists (select from {holding.table} where {where})")
        ]

    def routes(self) -> APIRouter:
        """The export over HTTP: of a person for themself, of a company for its admin, of either for an operator."""
        routes = APIRouter()

        async def export(kind: Kind, whose: UUID, tx: Tx) -> Export:
            held = await self.on(tx.connection, kind, whose)
            return Export(service=tx.service, kind=kind, id=whose, exported_at=tx.now, held=held)

        @routes.get("/export/people/{person_id}")
        async def export_person(person_id: UUID, caller: Themselves, tx: Tx) -> Export:  # pyright: ignore[reportUnusedFunction]
            """All that this service holds on a person."""
            themselves_only(person_id, caller)
            return await export("person", person_id, tx)

        @routes.get("/export/companies/{company_id}")
        async def export_company(company_id: UUID, caller: ItsAdmin, tx: Tx) -> Export:  # pyright: ignore[reportUnusedFunction]
            """All that this service holds on a company."""
            its_admin_only(company_id, caller)
            return await export("company", company_id, tx)

        return routes


Themselves = Annotated[Caller, Depends(requires(Role.COMPANY, Role.TRAVELLER, Role.OPERATOR))]
ItsAdmin = Annotated[Caller, Depends(requires(Role.COMPANY_ADMIN, Role.OPERATOR))]


def themselves_only(person_id: UUID, caller: Caller) -> None:
    """Lets pass the person, whatever part they have, and operators.

    Raises:
        NotYours: the token is for somebody else, be it their company's admin.
    """
    if caller.role is not Role.OPERATOR and caller.person_id != person_id:
        raise NotYours("not_you", "This is for the person alone, and for operators")


def its_admin_only(company_id: UUID, caller: Caller) -> None:
    """Lets pass the company's admin, and operators.

    Raises:
        NotYours: the token is for another company.
    """
    if caller.role is not Role.OPERATOR and caller.company_id != company_id:
        raise NotYours("not_your_company", "The token is for another company")
