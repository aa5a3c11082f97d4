"""A world in which one exchange was completed and surveyed, as logs and topics tell it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from pilot.invariants import Leftovers, Mails, Surveys, Verdict, World
from pilot.logs import Logged, Published
from pilot.population import population
from pilot.replay import Progress
from pilot.report import Evaluated, Report, report
from sojourn_contracts.catalogue import BY_NAME, SERVICES, TOPICS

START = datetime(2016, 11, 1, tzinfo=UTC)
UNTIL = datetime(2017, 12, 31, tzinfo=UTC)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""Time of day at which the first event was written; each next one a second later."""
SPACE = UUID("11111111-1111-5111-8111-111111111111")

Story = list[tuple[str, str, str, int, dict[str, Any]]]
"""Each event: who says it, its name, its subject, its day, its data."""


def an_id(name: str) -> str:
    return str(uuid5(SPACE, name))


SIGNED = ["sender", "host", "traveller"]
PAIR = {
    "sender_id": an_id("sender"),
    "host_id": an_id("host"),
    "sender_country": "ES",
    "host_country": "DE",
    "sender_sector": "62",
    "host_sector": "25",
    "training": {"direction": "traveller", "skills": ["welding"]},
}
MATCH = PAIR | {"placement_id": "placement", "offer_id": "offer"}
ITEM = {"learner": "traveller", "skills": ["welding"], "hours": 30, "given_by": "host"}
AGREED = MATCH | {
    "traveller_id": "t",
    "first_day": "2016-12-01",
    "last_day": "2016-12-20",
    "parts": [{"first": "2016-12-01", "last": "2016-12-20"}],
    "training_items": [ITEM],
    "signed_by": SIGNED,
}


def agreed(first: str, last: str, **changes: Any) -> dict[str, Any]:
    """Of a stay in one part."""
    return AGREED | {"first_day": first, "last_day": last, "parts": [{"first": first, "last": last}]} | changes


STORY: Story = [
    ("registration", "CompanyRegistered", "sender", 0, {"country": "ES", "sector": "62", "offers": []}),
    (
        "registration",
        "CompanyRegistered",
        "host",
        0,
        {"country": "DE", "sector": "25", "offers": [{"offer_id": "offer", "capacity": 1}]},
    ),
    ("matching", "MatchProposed", "first", 1, MATCH),
    ("exchange", "MatchDeclined", "first", 2, {}),
    ("matching", "MatchProposed", "second", 2, MATCH),
    ("exchange", "ExchangeAgreed", "second", 4, AGREED),
    ("survey", "NoticeDue", "notice", 60, {"template": "survey_open"}),
    ("registration", "NoticeSent", "notice", 60, {"revision": 1, "outcome": "refused"}),
    ("registration", "NoticeSent", "notice", 61, {"revision": 2, "outcome": "accepted"}),
    (
        "exchange",
        "ExchangeCompleted",
        "second",
        60,
        PAIR | {"days": 20, "last_day": "2016-12-20", "training_hours": 30},
    ),
    ("survey", "SurveySubmitted", "record", 70, {"exchange_cluster": "c", "wave": 1, "answers": {"SEND_MATCH": "5"}}),
]


MAIL = f"{an_id('notice')}.{an_id('person')}"
MAILS = Mails(
    by_template={"survey_open": {"notices": 1, "waiting": 0, "accepted": 1, "refused": 0}},
    accepted=frozenset({MAIL}),
    caught={MAIL: 2},
)
"""One mail, which was sent twice: a process was killed before it stored that the first one was accepted."""


def a_decision(company: str, command: str, who: str, **found: str) -> dict[str, Any]:
    """About a company; what was found by rule: a reason, after a slash where it leaves the rule open."""
    findings = [
        {"rule": rule, "outcome": "unclear" if reason.startswith("/") else "clear", "reason": reason.strip("/")}
        for rule, reason in found.items()
    ]
    return {
        "company_id": an_id(company),
        "at": START.isoformat(),
        "command": command,
        "who": who,
        "findings": findings,
    }


DECISIONS = [
    a_decision("host", "submit", "company"),
    a_decision("host", "refer", "programme", vat_number_registered="/invalid", one_person_has_a_vat_number="has_one"),
    a_decision("host", "send_back", "contact_point"),
    a_decision("host", "admit", "programme", vat_number_registered="valid", one_person_has_a_vat_number="has_one"),
    a_decision("sender", "submit", "company"),
    a_decision("sender", "admit", "programme", vat_number_registered="nothing_to_ask"),
]
VIES = {"DE1": ["MS_UNAVAILABLE", "MS_UNAVAILABLE", "INVALID"], "DE2": ["VALID"]}


def a_world(story: Story = STORY) -> World:
    """Everybody handled every event a tenth of a second after it was written."""
    logs: dict[str, list[Logged]] = {service: [] for service in SERVICES}
    topics: dict[str, list[Published]] = {topic.name: [] for topic in TOPICS}
    for second, (service, name, subject, day, data) in enumerate(story):
        topic = BY_NAME[name].name
        event = Logged(
            position=len(logs[service]) + 1,
            generation=1,
            topic=topic,
            sequence=len(topics[topic]) + 1,
            event_id=UUID(an_id(f"{service} {name} {subject} {day}")),
            type=f"{name}.v1",
            subject=UUID(an_id(subject)),
            time=START + timedelta(days=day),
            written_at=NOON + timedelta(seconds=second),
            data=json.dumps(data | {"key": subject}),
        )
        logs[service].append(event)
        topics[topic].append(a_record(event, offset=len(topics[topic])))
    nothing_left = {service: Leftovers(outbox=0, dead_letters=0, parked=0) for service in SERVICES}
    handled = {event.event_id: event.written_at + timedelta(seconds=0.1) for log in logs.values() for event in log}
    surveys = Surveys(submitted=2, released=1, withheld=1)
    handled_by = dict.fromkeys(SERVICES, handled)
    return World(logs, topics, nothing_left, surveys, handled_by, MAILS, DECISIONS, [], VIES)


def a_record(event: Logged, offset: int) -> Published:
    headers = {
        "ce_id": str(event.event_id),
        "ce_type": event.type,
        "ce_subject": str(event.subject),
        "ce_sequence": f"{event.sequence:018}",
        "ce_generation": str(event.generation),
    }
    return Published(event.topic, 0, offset, str(event.subject), event.data, headers)


def an_evaluation(**changes: Any) -> dict[str, Any]:
    """What the survey makes of that world."""
    send_match = {
        "wave": 1,
        "code": "SEND_MATCH",
        "count": 1,
        "valid": 1,
        "share": 1.0,
        "low": 0.207,
        "high": 1.0,
        "pilot": 0.91,
        "dont_know": 0,
        "not_applicable": 0,
    }
    newprod = {
        "wave": 1,
        "code": "NEWPROD",
        "count": 0,
        "valid": 0,
        "share": None,
        "low": None,
        "high": None,
        "pilot": 0.75,
        "dont_know": 0,
        "not_applicable": 0,
    }
    stages = {"registered": 2, "proposed": 2, "accepted": 1, "drafted": 1, "agreed": 1, "ongoing": 1, "completed": 1}
    ends = {"declined": 1, "expired": 0, "withdrawn": 0, "cancelled": 0}
    return {
        "indicators": [send_match | changes, newprod],
        "programme": {
            "funnel": [{"stage": stage, "number": number} for stage, number in stages.items()],
            "ends": [{"stage": end, "number": number} for end, number in ends.items()],
            "left": 0,
            "responses": [
                {"party": "sender", "wave": 1, "invited": 1, "complete": 1},
                {"party": "host", "wave": 1, "invited": 1, "complete": 1},
            ],
        },
    }


def a_report(*verdicts: Verdict, world: World | None = None, seconds: float = 2.0) -> Report:
    """Of that world, replayed with twelve companies."""
    world = world or a_world()
    progress = Progress(ended_at=START, events=30, step_seconds=[0.01, 0.03], act_seconds=[0.002])
    progress.acts.update(register=12, answer=2)
    progress.stepped[START + timedelta(days=1)] = NOON + timedelta(seconds=1.5)
    exchanges = [{"stage": "completed"}, {"stage": "declined"}]
    evaluated = Evaluated(an_evaluation(), exchanges)
    return report(population(12, 7), 7, UNTIL, progress, evaluated, world, verdicts, {"replay": seconds})
