"""A small questionnaire with one question of each kind, and submissions that answer it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

import pyarrow as pa
from pyiceberg.io.pyarrow import schema_to_pyarrow
from sojourn_contracts.vocabulary import Party
from survey.questionnaires.questionnaire import LANGUAGES, Indicator, Kind, Question, Questionnaire, Routing, Texts
from survey.sink.table import SCHEMA


def said(text: str) -> Texts:
    return {language: f"{text} ({language}) è, ü, ç" for language in LANGUAGES}


MISSING = {"98": said("do not know"), "99": said("not applicable"), "97": said("declined")}
MATCH = Question(
    "SEND_MATCH",
    Kind.SCALE,
    said(
        "Needs and competences were well matched, in every respect that mattered to us and that we had told of before"
    ),
    {str(number): said(f"level {number}") for number in range(1, 6)} | MISSING,
    frozenset(MISSING),
    frozenset({Party.SENDER}),
    frozenset({1}),
)
PRODUCTS = Question(
    "NEWPROD",
    Kind.CHOICE,
    said("New products?"),
    {"yes": said("yes"), "no": said("no")} | MISSING,
    frozenset(MISSING),
    frozenset({Party.SENDER, Party.HOST}),
    frozenset({1}),
)
PRODUCTS_LATER = replace(PRODUCTS, texts=said("Did you introduce new products?"), waves=frozenset({2}))
DURATION = Question(
    "DURATION",
    Kind.CHOICE,
    said("How long was it?"),
    {"short": said("too short"), "right": said("right"), "long": said("too long")},
    frozenset(),
    frozenset(Party),
    frozenset({1}),
    Routing("NEWPROD", frozenset({"yes"})),
    required=False,
)
OPEN = Question("OPEN", Kind.TEXT, said("Anything else?"), {}, frozenset(), frozenset(Party), frozenset({1, 2}))
SMALL = Questionnaire(
    "t.1",
    date(2026, 1, 1),
    said("A small one"),
    (MATCH, PRODUCTS, DURATION, PRODUCTS_LATER, OPEN),
    (
        Indicator("SEND_MATCH", "SEND_MATCH", frozenset({"4", "5"}), said("well matched"), 0.91),
        Indicator("NEWPROD", "NEWPROD", frozenset({"yes"}), said("new products"), 0.75),
    ),
)

ARROW = schema_to_pyarrow(SCHEMA, include_field_ids=False)


def submission(number: int, party: str, answers: Mapping[str, str], **changes: Any) -> dict[str, Any]:
    return {
        "event_id": str(UUID(int=1000 + number)),
        "record_id": str(UUID(int=number)),
        "questionnaire": SMALL.version,
        "party": party,
        "wave": 1,
        "released_on": date(2026, 3, number % 28 + 1),
        "exchange_cluster": f"{number // 3:064x}",
        "company_cluster": f"{number // 6:064x}",
        "country": "DE",
        "sector_section": "C",
        "size_class": "small",
        "duration_band": "31-45",
        "training_direction": "host_staff",
        "answers": list(answers.items()),
        "kafka_partition": 0,
        "kafka_offset": number,
    } | changes


def arrow(*submissions: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(submissions), ARROW)
