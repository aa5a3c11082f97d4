"""Numbers that grow with each event: what a released submission adds to them, and the counts that they come to.

A tally says how much of what; its cells are texts, so that one table keeps them all and one event moves a few dozen.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

from sojourn_contracts.exchange import Stage
from sojourn_contracts.survey import SurveySubmitted

from survey.evaluation.evaluate import REGISTERED
from survey.evaluation.figures import (
    DIMENSIONS,
    AnswerCount,
    CellCount,
    ClusterSums,
    Counts,
    DaysCount,
    FlowCount,
    PlacesCount,
    ProgrammeCounts,
    ResponseCount,
    StageCount,
)
from survey.questionnaires.questionnaire import Questionnaire

SUBMISSION, ANSWER, CELL, CLUSTER = "submission", "answer", "cell", "cluster"
"""Kinds that released submissions move; their cells begin with the questionnaire's version."""
RESPONSE, COMPANY, PLACES, EXCHANGE, FLOW, DAYS = "response", "company", "places", "exchange", "flow", "days"
"""Kinds that the database moves with each row, see migration 0005."""

Cell = tuple[str, ...]
Tally = Counter[tuple[str, Cell]]
"""Kind and cell to number."""
_VALID, _FAVOURABLE = "valid", "favourable"
_SUMS = ("clusters", "valid", "favourable", "valid_squared", "valid_favourable", "favourable_squared")
ENDS = tuple(stage for stage in Stage if stage.ended and stage is not Stage.COMPLETED)
LIFE = tuple(stage for stage in Stage if stage not in ENDS and not stage.detour)
"""What an exchange passes to be completed."""


@dataclass(frozen=True)
class Judged:
    """A valid answer to an indicator's question, of a company."""

    questionnaire: str
    wave: int
    indicator: str
    company_cluster: str
    favourable: bool


def added(event: SurveySubmitted, questionnaire: Questionnaire) -> tuple[Tally, list[Judged]]:
    """What a submission adds to the tally, and its valid answers."""
    version, wave = event.questionnaire, str(event.wave)
    tally: Tally = Counter({(SUBMISSION, (version,)): 1})
    judged: list[Judged] = []
    for question, answer in event.answers.items():
        tally[ANSWER, (version, wave, event.party, question, answer)] += 1
    for indicator in questionnaire.indicators:
        answer = event.answers.get(indicator.question)
        if answer is None or answer in questionnaire.question(indicator.question).missing:
            continue
        favourable = answer in indicator.favourable
        judged.append(Judged(version, event.wave, indicator.code, event.company_cluster, favourable))
        for dimension in DIMENSIONS:
            cell = (version, wave, indicator.code, dimension, str(getattr(event, dimension)))
            tally[CELL, (*cell, _VALID)] += 1
            tally[CELL, (*cell, _FAVOURABLE)] += favourable
    return tally, judged


def moved(judged: Judged, before: tuple[int, int], after: tuple[int, int]) -> Tally:
    """What it adds to the sums over companies that a company has so many valid and favourable answers now."""
    sums = dict(zip(_SUMS, _summed(*after), strict=True))
    was = dict(zip(_SUMS, _summed(*before), strict=True))
    cell = (judged.questionnaire, str(judged.wave), judged.indicator)
    return Counter({(CLUSTER, (*cell, name)): sums[name] - was[name] for name in _SUMS})


def _summed(n: int, y: int) -> tuple[int, ...]:
    return int(n > 0), n, y, n * n, n * y, y * y


def counts(tally: Tally, version: str) -> Counts:
    """What is counted of a version of the questionnaire, and of the programme; each part in a fixed order."""
    of = {kind: {cell: number for (each, cell), number in tally.items() if each == kind} for kind in _KINDS}
    own = {kind: {cell[1:]: n for cell, n in of[kind].items() if cell[0] == version and n} for kind in _OF_VERSION}
    cells = Counter({(*cell,): number for cell, number in own[CELL].items()})
    sums = own[CLUSTER]
    return Counts(
        questionnaire=version,
        submissions=sum(own[SUBMISSION].values()),
        answers=tuple(
            sorted(
                (
                    AnswerCount(int(wave), party, question, answer, number)
                    for (wave, party, question, answer), number in own[ANSWER].items()
                ),
                key=lambda each: (each.wave, each.party, each.question, each.answer),
            )
        ),
        clusters=tuple(
            sorted(
                (
                    ClusterSums(int(wave), indicator, *(sums.get((wave, indicator, name), 0) for name in _SUMS))
                    for wave, indicator in {cell[:2] for cell in sums}
                ),
                key=lambda each: (each.wave, each.indicator),
            )
        ),
        cells=tuple(
            sorted(
                (
                    CellCount(
                        int(wave),
                        indicator,
                        dimension,
                        category,
                        number,
                        cells[wave, indicator, dimension, category, _FAVOURABLE],
                    )
                    for (wave, indicator, dimension, category, what), number in cells.items()
                    if what == _VALID
                ),
                key=lambda each: (each.wave, each.indicator, each.dimension, each.category),
            )
        ),
        programme=_programme(of),
    )


_OF_VERSION = (SUBMISSION, ANSWER, CELL, CLUSTER)
_KINDS = (*_OF_VERSION, RESPONSE, COMPANY, PLACES, EXCHANGE, FLOW, DAYS)


def _programme(of: Mapping[str, Mapping[Cell, int]]) -> ProgrammeCounts:
    exchanges = {(Stage(furthest), Stage(stage)): number for (furthest, stage), number in of[EXCHANGE].items()}
    reached = (
        StageCount(stage, sum(number for (furthest, _), number in exchanges.items() if furthest.rank >= stage.rank))
        for stage in LIFE
    )
    return ProgrammeCounts(
        responses=tuple(
            ResponseCount(int(wave), party, *(of[RESPONSE].get((wave, party, name), 0) for name in _ANSWERED))
            for wave, party in _firsts(of[RESPONSE], 2)
        ),
        stages=tuple(chain((StageCount(REGISTERED, of[COMPANY].get((REGISTERED,), 0)),), reached)),
        left=of[COMPANY].get(("left",), 0),
        ends=tuple(
            StageCount(end, sum(number for (_, stage), number in exchanges.items() if stage is end)) for end in ENDS
        ),
        days=tuple(
            DaysCount(stage, days, number)
            for stage, days, number in sorted(
                (cell[0], int(cell[1]), number) for cell, number in of[DAYS].items() if number
            )
        ),
        places=tuple(
            PlacesCount(country, *(of[PLACES].get((country, name), 0) for name in _SUPPLY))
            for (country,) in _firsts(of[PLACES], 1)
        ),
        flows=tuple(FlowCount(sender, host, number) for (sender, host), number in sorted(of[FLOW].items()) if number),
    )


_ANSWERED = ("invited", "sent", "started", "complete", "declined")
_SUPPLY = ("companies", "placements", "hosting_offers", "hosting_places", "wanted")


def _firsts(cells: Mapping[Cell, int], length: int) -> Iterable[Cell]:
    return sorted({cell[:length] for cell, number in cells.items() if number})
