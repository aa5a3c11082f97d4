"""A contact point's HTTP: the queue of its country, what it decides, and all that was decided before."""

import json
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from chassis.http import Tx, link_to_next
from chassis.identity import Caller, Role, requires
from chassis.problems import Problem
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints
from sojourn_contracts.refusal import Refused

from registration.companies import deciding, domain, store
from registration.companies.api import require_deciding_country, require_own_country
from registration.companies.audit import Remark, Words, first_broken
from registration.companies.deciding import who
from registration.companies.domain import Command, Company
from registration.companies.eligibility import Finding
from registration.companies.store import Place
from registration.wrongs import NO_CONTROLS, Allowed, Entries, plain

routes = APIRouter()

Staff = Annotated[Caller, Depends(requires(Role.CONTACT_POINT, Role.OPERATOR))]
"""The contact point of the company's country, or an operator."""

MOST_AT_ONCE = 500
MAX_REMARKS = 50

Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000),
    BeforeValidator(plain),
    Allowed(f"1 to 2,000 characters, {NO_CONTROLS}"),
]
FieldPath = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z_]+(\.([0-9]{1,2}|[a-z_]+)){0,5}$", max_length=120),
    Allowed("a field of the form, as in placements.0.window.last"),
]


class ReviewView(BaseModel):
    """A company that waits, with what the rules left open."""

    company_id: UUID
    country: str
    revision: int
    since: datetime
    unclear: list[Finding]


class RemarkForm(BaseModel):
    """What is to change in one field."""

    model_config = ConfigDict(extra="forbid")

    path: FieldPath
    remark: Reason


class Verdict(StrEnum):
    """What a contact point can decide."""

    ADMIT = "admit"
    NEEDS_CHANGES = "needs_changes"
    REJECT = "reject"


class VerdictForm(BaseModel):
    """A decision about the company as it is at one revision."""

    model_config = ConfigDict(extra="forbid")

    revision: int
    decision: Verdict
    reason: Reason
    remarks: Annotated[list[RemarkForm], Entries(0, MAX_REMARKS)] = []

    @property
    def words(self) -> Words:
        return Words(self.reason, tuple(Remark(each.path, each.remark) for each in self.remarks))


class ExclusionForm(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Reason


class DecisionView(BaseModel):
    """A row of the chain: what was hashed, the hash, and what was written to it as long as that is kept."""

    number: int
    content: dict[str, Any]
    hash: str
    words: Words | None


class ChainView(BaseModel):
    """All decisions about a company, oldest first."""

    company_id: UUID
    intact: bool
    """Every row is as it was written."""
    decisions: list[DecisionView]


_COMMANDS = {
    Verdict.ADMIT: Command.ADMIT,
    Verdict.NEEDS_CHANGES: Command.SEND_BACK,
    Verdict.REJECT: Command.REJECT,
}


@routes.get("/reviews")
async def reviews(
    caller: Staff,
    tx: Tx,
    request: Request,
    response: Response,
    after_since: datetime | None = None,
    after: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = 100,
) -> list[ReviewView]:
    """What waits for a contact point, oldest first; an operator sees all countries. A ``Link`` header leads to the next page."""
    if (after is None) is not (after_since is None) or (after_since is not None and after_since.tzinfo is None):
        raise Problem(422, "invalid", "after_since, with its offset, and after belong together: a Link header has both")
    place = Place(after_since, after) if after and after_since else None
    country = caller.country if caller.role is Role.CONTACT_POINT else None
    found = await store.reviews(tx, country, place, limit + 1)
    if len(found) > limit:
        last = found[limit - 1]
        link_to_next(request, response, after_since=last.since.isoformat(), after=last.company_id, limit=limit)
    return [
        ReviewView(
            company_id=each.company_id,
            country=each.country,
            revision=each.revision,
            since=each.since,
            unclear=list(each.unclear),
        )
        for each in found[:limit]
    ]


@routes.post("/companies/{company_id}/decision", status_code=204)
async def decide(company_id: UUID, body: VerdictForm, caller: Staff, tx: Tx) -> None:
    """Admits the company, sends it back with remarks, or rejects it, as it was when the decider looked at it."""
    company = await store.locked(tx, company_id)
    command = _COMMANDS[body.decision]
    if await _decided_already(tx, company, body, caller):
        return  # also where the company is of another country again: it wanted to move, and was not let
    require_deciding_country(caller, company)
    if company.revision != body.revision:
        raise Refused("stale_revision", f"The company is at revision {company.revision} by now: look at it again")
    match body.decision:
        case Verdict.ADMIT:
            decision = domain.admit(company, who(caller))
        case Verdict.NEEDS_CHANGES:
            decision = domain.send_back(company, who(caller)), []
        case Verdict.REJECT:
            decision = domain.reject(company, who(caller)), []
    await deciding.keep(tx, company, decision, command, caller, body.words)


@routes.post("/companies/{company_id}/exclusion", status_code=204)
async def exclude(company_id: UUID, body: ExclusionForm, caller: Staff, tx: Tx) -> None:
    """Puts the company out of the programme for good; what it takes part in ends."""
    company = await store.locked(tx, company_id)
    require_own_country(caller, company)
    decision = domain.exclude(company, who(caller))
    if decision[0] != company:
        await deciding.keep(tx, company, decision, Command.EXCLUDE, caller, Words(body.reason))


@routes.get("/companies/{company_id}/decisions")
async def decisions(company_id: UUID, caller: Staff, tx: Tx) -> ChainView:
    """Every decision about the company, by the rules and by people."""
    company = await store.found(tx, company_id)
    require_own_country(caller, company)
    chain = await store.chain(tx, company_id)
    return ChainView(
        company_id=company_id,
        intact=first_broken(chain) is None,
        decisions=[
            DecisionView(
                number=entry.number,
                content=json.loads(entry.content),
                hash=entry.hash,
                words=chain.words[entry.number].words if entry.number in chain.words else None,
            )
            for entry in chain.entries
        ],
    )


async def _decided_already(tx: Tx, company: Company, body: VerdictForm, caller: Caller) -> bool:
    """The same decision about the same revision by the same decider came before, and its answer was lost."""
    last = await store.last_decision(tx, company.company_id)
    said = {"revision": body.revision, "command": _COMMANDS[body.decision], "decider": caller.subject}
    return last is not None and said.items() <= last.items() and not company.undecided
