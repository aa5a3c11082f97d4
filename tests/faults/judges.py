"""What must hold once all that was struck is back and quiet: each event once on its topic, each effect once, promises kept.

The stored state of each service is compared with what its topics' events amount to, worked out here from the events alone.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from chassis.due import STANDING
from pilot.invariants import World
from pilot.logs import Logged
from sojourn_contracts.catalogue import SERVICES, consumed_by, emitted_by
from sojourn_contracts.exchange import Stage

from pilot import invariants
from tests.faults.story import Promises

PROPOSED = "MatchProposed.v1"
ENDS = {"MatchDeclined.v1": "declined", "ExchangeCancelled.v1": "cancelled", "ExchangeCompleted.v1": "completed"}

Row = Mapping[str, Any]

TOLD_OF = ("notify", "remind", *STANDING)
"""Due work that brings no exchange on."""


@dataclass(frozen=True)
class Aftermath:
    """All that is judged."""

    world: World
    inboxes: Mapping[str, Sequence[str]]
    """By service, the ids of the events that it handled."""
    tables: Mapping[str, Sequence[Row]]
    written: Mapping[str, datetime]
    """Event to the time of day when its transaction wrote it, which is before that transaction's effect can be seen."""
    events: Mapping[str, Sequence[Logged]]
    """By subject, in the log's order; those of an exchange without its proposal."""
    proposals: Mapping[str, Logged]
    """By match."""


def breaches(found: Aftermath, promises: Promises) -> list[str]:
    """All that is not as it must be, in words."""
    judged = invariants.judged(_as_written(found))
    told = [f"{verdict.invariant}: {breach}" for verdict in judged for breach in verdict.breaches]
    for judge in (gaps, inboxes_that_differ, companies_that_differ, exchanges_that_differ, surveys_that_differ):
        told += judge(found)
    return told + list(broken(promises, found))


def _as_written(found: Aftermath) -> World:
    """The world with the time of day for programme time, which a process that slept may have read before it slept.

    A slot is freed only after the event that ends its match was written, and taken before the next proposal is.
    """
    logs = {
        service: [replace(event, time=found.written[str(event.event_id)]) for event in log]
        for service, log in found.world.logs.items()
    }
    return replace(found.world, logs=logs)


ADMITTED_AT = 3
"""A company's revision: it was drafted, submitted, and admitted by the rules."""


def gaps(found: Aftermath) -> Iterator[str]:
    """Positions are dense in a log, sequences in a topic."""
    for service, log in found.world.logs.items():
        if [event.position for event in log] != list(range(1, len(log) + 1)):
            yield f"the positions of {service} are not 1 to {len(log)}"
        for topic in emitted_by(service):
            sequences = [event.sequence for event in log if event.topic == topic.name]
            if sequences != list(range(1, len(sequences) + 1)):
                yield f"the sequences of {topic.name} are not 1 to {len(sequences)}"


def inboxes_that_differ(found: Aftermath) -> Iterator[str]:
    """Each service has handled what its topics hold, and nothing else."""
    for service in SERVICES:
        on_topics = {
            record.headers["ce_id"] for topic in consumed_by(service) for record in found.world.topics[topic.name]
        }
        for id_ in on_topics.symmetric_difference(found.inboxes[service]):
            yield f"{service}: event {id_} is {'not handled' if id_ in on_topics else 'handled, but on no topic'}"


def companies_that_differ(found: Aftermath) -> Iterator[str]:
    """Registration's are what it told of them, one event per revision since admission; the others' are what was told last."""
    own, market, known = (
        {str(row["company_id"]): row for row in found.tables[table]}
        for table in ("registration.company", "matching.companies", "exchange.company")
    )
    told = {id_: events for id_, events in found.events.items() if events[0].type.startswith("Company")}
    yield from _differ("companies", told, own, market, known)
    placements, offers = set[str](), set[str]()
    for id_, events in told.items():
        if id_ not in own or id_ not in market or id_ not in known:
            continue
        last, gone = events[-1], events[-1].type == "CompanyWithdrawn.v1"
        revisions = [event.content["revision"] for event in events]
        admitted_to_now = list(range(ADMITTED_AT, own[id_]["revision"] + 1))
        if revisions != admitted_to_now or (own[id_]["status"] == "withdrawn") != gone:
            yield f"company {id_}: registration has revision {own[id_]['revision']} and told of {revisions}"
        if (market[id_]["revision"], _read(market[id_]["payload"])) != (revisions[-1], last.content):
            yield f"company {id_}: matching has {dict(market[id_])} after {last}"
        ends = [_ends(event.content) for event in events]
        if known[id_]["gone"] != gone or _read(known[id_]["profile"]) != (None if gone else last.content):
            yield f"company {id_}: exchange has {dict(known[id_])} after {last}"
        if not gone and set(map(str, known[id_]["dropped"])) != set[str]().union(*ends) - ends[-1]:
            yield f"company {id_}: exchange has dropped {known[id_]['dropped']} of {ends}"
        placements |= {each["placement_id"] for each in last.content.get("placements", ())}
        offers |= {each["offer_id"] for each in last.content.get("offers", ())}
    yield from _differ("placements", placements, {str(row[0]) for row in found.tables["matching.placements"]})
    yield from _differ("offers", offers, {str(row[0]) for row in found.tables["matching.offers"]})


def exchanges_that_differ(found: Aftermath) -> Iterator[str]:
    """Every match was proposed once and opened one exchange, which told of each change once; its slot is held or free by that."""
    matches, exchanges = (
        {str(row[0]): row for row in found.tables[table]} for table in ("matching.matches", "exchange.exchange")
    )
    yield from _differ("matches", found.proposals, matches, exchanges)
    for id_, count in Counter(str(event.subject) for event in found.world.said("MatchProposed")).items():
        if count > 1:
            yield f"match {id_} was proposed {count} times"
    due: dict[str, list[str]] = defaultdict(list)
    for row in sorted(found.tables["exchange.due"], key=lambda row: row["kind"]):
        if row["kind"] not in TOLD_OF:
            due[row["subject"]].append(row["kind"])
    for id_ in found.proposals.keys() & matches.keys() & exchanges.keys():
        events, match, exchange = found.events.get(id_, []), matches[id_], exchanges[id_]
        proposal, stage = found.proposals[id_].content, _stage(events)
        revisions = [1, *(event.content["revision"] for event in events)]
        if revisions != list(range(1, exchange["revision"] + 1)) or exchange["stage"] != stage:
            yield f"exchange {id_}: {stage} was told with {revisions}; it is {dict(exchange)}"
        if not match["made_here"] or _read(match["proposal"]) != proposal or _read(exchange["proposal"]) != proposal:
            yield f"match {id_}: {dict(match)} after {proposal}"
        if match["state"] != _slot(events):
            yield f"match {id_}: matching has {match['state']} after {[event.type for event in events]}"
        if due[id_] not in _waits_for(stage):
            yield f"exchange {id_} is {stage} and waits for {due[id_]}"
    for id_ in due.keys() - exchanges.keys():
        yield f"due work {due[id_]} for {id_}, which is no exchange"


def surveys_that_differ(found: Aftermath) -> Iterator[str]:
    """The survey knows the latest of all, and has asked three parties about each exchange that was completed."""
    companies, exchanges = (
        {str(row[0]): row for row in found.tables[table]} for table in ("survey.company", "survey.exchange")
    )
    told = {id_: events for id_, events in found.events.items() if events[0].type.startswith("Company")}
    yield from _differ("companies of the survey", told, companies)
    for id_ in told.keys() & companies.keys():
        profiles = [event for event in told[id_] if event.type != "CompanyWithdrawn.v1"]
        left = len(profiles) < len(told[id_])
        if (_read(companies[id_]["profile"]), companies[id_]["withdrawn"]) != (profiles[-1].content, left):
            yield f"company {id_}: survey has {dict(companies[id_])} after {told[id_][-1]}"
    yield from _differ("exchanges of the survey", found.proposals, exchanges)
    for id_ in found.proposals.keys() & exchanges.keys():
        newest = [found.proposals[id_], *found.events.get(id_, [])][-1]
        if exchanges[id_]["event"] + ".v1" != newest.type or _read(exchanges[id_]["payload"]) != newest.content:
            yield f"exchange {id_}: survey has {dict(exchanges[id_])} after {newest}"
    wanted = Counter(
        (str(event.subject), party)
        for event in found.world.said("ExchangeCompleted")
        for party in ("sender", "host", "traveller")
    )
    asked = Counter((str(row["exchange_id"]), row["party"]) for row in found.tables["survey.invitation"])
    if wanted != asked:
        yield f"invitations too many: {asked - wanted}, too few: {wanted - asked}"


def broken(promises: Promises, found: Aftermath) -> Iterator[str]:
    """What was answered with success and is not so, or was asked for once and is there twice."""
    names = Counter(row["name"] for row in found.tables["registration.company"])
    ids = {row["name"]: str(row["company_id"]) for row in found.tables["registration.company"]}
    if names != Counter(promises.names) or ids != promises.companies:
        yield f"registered: {len(promises.companies)} of {len(promises.names)} asked, {sum(names.values())} are there"
    told = {
        (str(event.subject), event.content["revision"])
        for event in found.world.logs["registration"]
        if event.type.startswith("Company")
    }
    yield from (f"revision {revision} of company {id_} is lost" for id_, revision in promises.revisions - told)
    gone = {str(row["company_id"]) for row in found.tables["registration.company"] if row["status"] == "withdrawn"}
    yield from _differ("companies that left", promises.left, gone)
    exchanges = {str(row["exchange_id"]): row for row in found.tables["exchange.exchange"]}
    for id_, side in promises.accepted:
        if id_ in exchanges and side not in exchanges[id_]["accepted_by"]:
            yield f"exchange {id_}: the acceptance of the {side} is lost"
    for id_, version, party in promises.signed:
        agreement = _read(exchanges[id_]["agreement"]) if id_ in exchanges else {"version": None}
        signed_by = [signature["by"] for signature in agreement.get("signatures", ())]
        if agreement["version"] == version and party not in signed_by:
            yield f"exchange {id_}: the signature of the {party} is lost"
    for stage, promised in (("declined", promises.declined), ("completed", promises.completed)):
        yield from (
            f"exchange {id_} is not {stage}" for id_ in promised & exchanges.keys() if exchanges[id_]["stage"] != stage
        )
    submitted = {str(row["invitation_id"]) for row in found.tables["survey.invitation"] if row["state"] == "submitted"}
    yield from _differ("submissions", promises.submitted, submitted)


def _differ(what: str, wanted: Iterable[str], *all_found: Iterable[str]) -> Iterator[str]:
    for found in all_found:
        if difference := set(wanted).symmetric_difference(found):
            yield f"{what}: {len(difference)} are not on both sides, as {sorted(difference)[:3]}"


def _read(stored: str | None) -> Any:
    return None if stored is None else json.loads(stored)


def _ends(profile: Row) -> set[str]:
    placements = {each["placement_id"] for each in profile.get("placements", ())}
    return placements | {each["offer_id"] for each in profile.get("offers", ())}


def _stage(events: Sequence[Logged]) -> str:
    if not events:
        return "proposed"
    return events[-1].content["reason" if events[-1].type == "MatchDeclined.v1" else "stage"]


def _slot(events: Sequence[Logged]) -> str:
    """Matching hears of an agreement and of the end, and of nothing in between."""
    heard = [(ENDS | {"ExchangeAgreed.v1": "agreed"}).get(event.type) for event in events]
    return next((state for state in reversed(heard) if state), "proposed")


def _waits_for(stage: str) -> list[list[str]]:
    """What may be due: who was asked once whether a stay fits is not asked again."""
    if Stage(stage).ended:
        return [[]]
    if stage in ("ongoing", "interrupted"):
        return [["ask", "close"], ["close"]]
    return [["start" if stage == "agreed" else "expire"]]
