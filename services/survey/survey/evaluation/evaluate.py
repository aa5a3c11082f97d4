"""From counts to figures: the five indicators, what came back, how exchanges went, and where hosts are scarce.

The same counts give the same figures, byte for byte: shares are rounded to six places, in which all platforms agree.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from survey.evaluation.figures import (
    CellCount,
    CellFigure,
    Change,
    ClusterSums,
    Counts,
    DaysCount,
    Figures,
    IndicatorFigure,
    PlacesCount,
    ProgrammeCounts,
    ProgrammeFigures,
    ResponseCount,
    ResponseFigure,
    ScarcityFigure,
    StageCount,
    StageFigure,
)
from survey.evaluation.intervals import Interval, cluster_robust, design_effect, difference, wilson
from survey.questionnaires.questionnaire import (
    DECLINED,
    DONT_KNOW,
    END_OF_STAY,
    NOT_APPLICABLE,
    Indicator,
    Questionnaire,
)

REGISTERED = "registered"
"""The funnel's first stage: companies; all others are an exchange's."""
ABOVE, BELOW, ALIKE = "above", "below", "alike"
UP, DOWN = "up", "down"
_PLACES = 6


def evaluate(counts: Counts, questionnaire: Questionnaire) -> Figures:
    """The whole evaluation of one version of the questionnaire.

    Raises:
        ValueError: the counts are of another version.
    """
    if counts.questionnaire != questionnaire.version:
        raise ValueError(f"counts of {counts.questionnaire} cannot be read with {questionnaire.version}")
    clusters = {(sums.wave, sums.indicator): sums for sums in counts.clusters}
    answers: dict[tuple[int, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for each in counts.answers:
        answers[each.wave, each.question][each.answer] += each.number
    indicators = [
        _indicator(
            indicator, questionnaire, wave, answers[wave, indicator.question], clusters.get((wave, indicator.code))
        )
        for indicator in questionnaire.indicators
        for wave in questionnaire.waves(indicator.question)
    ]
    indicators.sort(key=lambda figure: figure.wave)
    order = {indicator.code: place for place, indicator in enumerate(questionnaire.indicators)}
    return Figures(
        questionnaire=counts.questionnaire,
        submissions=counts.submissions,
        indicators=tuple(indicators),
        changes=tuple(_changes(indicators)),
        cells=tuple(
            cell_figure(cell)
            for cell in sorted(
                counts.cells, key=lambda cell: (cell.wave, order[cell.indicator], cell.dimension, cell.category)
            )
        ),
        programme=None if counts.programme is None else evaluate_programme(counts.programme),
    )


def _indicator(
    indicator: Indicator,
    questionnaire: Questionnaire,
    wave: int,
    answers: Mapping[str, int],
    clusters: ClusterSums | None,
) -> IndicatorFigure:
    """Favourable over valid answers, each counting as one; don't know, not applicable and declined stand apart.

    The pilot asked at the end of the stay, so later waves stand beside none of its shares.
    """
    missing = questionnaire.question(indicator.question).missing
    valid = sum(number for answer, number in answers.items() if answer not in missing)
    count = sum(number for answer, number in answers.items() if answer in indicator.favourable)
    share = count / valid if valid else None
    interval = wilson(count, valid) if valid else None
    several = clusters is not None and clusters.valid_squared > clusters.valid
    robust = cluster_robust(clusters) if clusters and several else None
    pilot = indicator.pilot if wave == END_OF_STAY else None
    beside = None if share is None or interval is None or pilot is None else (share, robust or interval, pilot)
    low, high = _rounded(interval)
    cluster_low, cluster_high = _rounded(robust)
    apart, apart_low, apart_high, verdict = _against(*beside) if beside else (None, None, None, None)
    return IndicatorFigure(
        wave=wave,
        code=indicator.code,
        n=sum(answers.values()),
        valid=valid,
        count=count,
        share=_round(share),
        low=low,
        high=high,
        clusters=clusters.clusters if clusters else 0,
        design_effect=_round(design_effect(clusters)) if clusters and clusters.valid else None,
        cluster_low=cluster_low,
        cluster_high=cluster_high,
        dont_know=answers.get(DONT_KNOW, 0),
        not_applicable=answers.get(NOT_APPLICABLE, 0),
        declined=answers.get(DECLINED, 0),
        pilot=pilot,
        difference=apart,
        difference_low=apart_low,
        difference_high=apart_high,
        verdict=verdict,
    )


def _against(share: float, interval: Interval, pilot: float) -> tuple[float, float, float, str]:
    """Difference to the pilot, its interval and verdict. A share without a base is taken as fixed: ours alone is uncertain."""
    low, high = interval[0] - pilot, interval[1] - pilot
    verdict = ABOVE if low > 0 else BELOW if high < 0 else ALIKE
    return round(share - pilot, _PLACES), round(low, _PLACES), round(high, _PLACES), verdict


def _changes(indicators: Sequence[IndicatorFigure]) -> Iterable[Change]:
    """Of each indicator, from each wave to the next one with valid answers."""
    by_code: dict[str, list[IndicatorFigure]] = defaultdict(list)
    for figure in indicators:
        if figure.valid:
            by_code[figure.code].append(figure)
    for code, figures in by_code.items():
        for earlier, later in pairwise(figures):
            before, after = earlier.count / earlier.valid, later.count / later.valid
            low, high = difference(before, _widest(earlier), after, _widest(later))
            yield Change(
                code=code,
                earlier=earlier.wave,
                later=later.wave,
                difference=round(after - before, _PLACES),
                low=round(low, _PLACES),
                high=round(high, _PLACES),
                verdict=UP if low > 0 else DOWN if high < 0 else ALIKE,
            )


def _widest(figure: IndicatorFigure) -> Interval:
    if figure.cluster_low is not None and figure.cluster_high is not None:
        return figure.cluster_low, figure.cluster_high
    return wilson(figure.count, figure.valid)


def cell_figure(cell: CellCount) -> CellFigure:
    """A cell with its interval; a hidden one stays so."""
    share = cell.favourable / cell.valid if cell.valid and cell.favourable is not None else None
    interval = wilson(cell.favourable, cell.valid) if cell.valid and cell.favourable is not None else None
    low, high = _rounded(interval)
    return CellFigure(
        wave=cell.wave,
        code=cell.indicator,
        dimension=cell.dimension,
        category=cell.category,
        valid=cell.valid,
        count=cell.favourable,
        share=_round(share),
        low=low,
        high=high,
    )


def evaluate_programme(counts: ProgrammeCounts) -> ProgrammeFigures:
    """Response rates, the funnel, scarcity of hosts, and flows."""
    return ProgrammeFigures(
        responses=tuple(_response(each) for each in sorted(counts.responses, key=lambda each: (each.wave, each.party))),
        funnel=tuple(_funnel(counts.stages, counts.days)),
        left=counts.left,
        ends=counts.ends,
        scarcity=tuple(_scarcity(each) for each in sorted(counts.places, key=lambda each: each.country)),
        flows=tuple(sorted(counts.flows, key=lambda flow: (flow.sender_country, flow.host_country))),
    )


def _response(counted: ResponseCount) -> ResponseFigure:
    """Rates of those invited, so that a mail that was never sent is no excuse.

    As the response rate RR1 of AAPOR's Standard Definitions (9th edition, 2016), every one invited being eligible.
    """
    return ResponseFigure(
        wave=counted.wave,
        party=counted.party,
        invited=counted.invited,
        sent=counted.sent,
        started=counted.started,
        complete=counted.complete,
        declined=counted.declined,
        sent_rate=_ratio(counted.sent, counted.invited),
        started_rate=_ratio(counted.started, counted.invited),
        complete_rate=_ratio(counted.complete, counted.invited),
    )


def _funnel(stages: Sequence[StageCount], days: Sequence[DaysCount]) -> Iterable[StageFigure]:
    before: StageCount | None = None
    for stage in stages:
        exchanges = before is not None and before.stage != REGISTERED
        yield StageFigure(
            stage=stage.stage,
            number=stage.number,
            conversion=_ratio(stage.number, before.number) if before and exchanges else None,
            median_days=median({each.days: each.number for each in days if each.stage == stage.stage}),
        )
        before = stage


def median(numbers: Mapping[int, int]) -> float | None:
    """Of values by how often they occur: the mean of the two in the middle where their number is even; None of none."""
    total = sum(numbers.values())
    if not total:
        return None
    middle = ((total - 1) // 2, total // 2)
    found: list[int] = []
    passed = 0
    for value, number in sorted(numbers.items()):
        passed += number
        found += [value for place in middle[len(found) :] if place < passed]
    return sum(found) / 2


def _scarcity(counted: PlacesCount) -> ScarcityFigure:
    return ScarcityFigure(
        country=counted.country,
        companies=counted.companies,
        placements=counted.placements,
        hosting_offers=counted.hosting_offers,
        hosting_places=counted.hosting_places,
        wanted=counted.wanted,
        places_per_wanted=_ratio(counted.hosting_places, counted.wanted),
    )


def _ratio(part: int | None, whole: int) -> float | None:
    return round(part / whole, _PLACES) if whole and part is not None else None


def _round(number: float | None) -> float | None:
    return None if number is None else round(number, _PLACES)


def _rounded(interval: Interval | None) -> tuple[float | None, float | None]:
    return (None, None) if interval is None else (round(interval[0], _PLACES), round(interval[1], _PLACES))
