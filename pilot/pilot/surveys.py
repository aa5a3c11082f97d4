"""Whether a survey that somebody answered is counted alike by all who count: people, store, evaluation, subscribers."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sojourn_contracts.catalogue import BY_NAME

from pilot.choices import FAVOURABLE, NO_OPINION
from pilot.invariants import Verdict, World

SURVEYS = BY_NAME["SurveySubmitted"].name
END_OF_STAY = 1
DONT_KNOW, NOT_APPLICABLE = "98", "99"


def counts_agree(world: World, answered: int, evaluation: Mapping[str, Any]) -> Verdict:
    """``answered``: the submissions that companies and travellers saw accepted; ``evaluation``: as analysts get it."""
    breaches = tuple(_counts_that_differ(world, answered, evaluation))
    return Verdict("Survey counts agree: answered over HTTP, stored, evaluated, published", breaches)


def _counts_that_differ(world: World, answered: int, evaluation: Mapping[str, Any]) -> Iterable[str]:
    stored = world.surveys
    published = [json.loads(record.value) for record in world.topics[SURVEYS] if record.value]
    if answered != stored.submitted:
        yield f"{answered} answered over HTTP, but {stored.submitted} are stored"
    if (evaluated := sum(each["complete"] for each in evaluation["programme"]["responses"])) != stored.submitted:
        yield f"{stored.submitted} are stored, but {evaluated} evaluated"
    if len(published) != stored.released:
        yield f"{stored.released} are released, but {len(published)} stand on {SURVEYS}"
    for indicator in evaluation["indicators"]:
        code = indicator["code"]
        ours = {name: indicator[name] for name in ("count", "valid", "dont_know", "not_applicable")}
        in_wave = [survey["answers"] for survey in published if survey["wave"] == indicator["wave"]]
        theirs = _counted([answers[code] for answers in in_wave if code in answers])
        if ours != theirs:
            yield f"{code} is evaluated as {ours}, but {SURVEYS} comes to {theirs}"


def _counted(answers: Sequence[str]) -> dict[str, int]:
    """An indicator as a subscriber would count it."""
    return {
        "count": sum(answer in FAVOURABLE for answer in answers),
        "valid": sum(answer not in NO_OPINION for answer in answers),
        "dont_know": answers.count(DONT_KNOW),
        "not_applicable": answers.count(NOT_APPLICABLE),
    }
