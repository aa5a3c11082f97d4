"""The evaluation's figures as exhibits in one language. No figure is calculated here but shares of what stands beside them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from survey.evaluation.evaluate import REGISTERED
from survey.evaluation.figures import (
    COUNTRY,
    DIMENSIONS,
    CellFigure,
    Change,
    Figures,
    FlowCount,
    IndicatorFigure,
    ProgrammeFigures,
    ResponseFigure,
    ScarcityFigure,
    StageFigure,
)
from survey.evaluation.sentences import beside_the_pilot, since_the_wave_before
from survey.page.content import (
    Bar,
    Bars,
    BeforeAfter,
    Cell,
    Changes,
    Document,
    Dot,
    Dots,
    Exhibit,
    Group,
    Interval,
    Matrix,
)
from survey.page.words import Words
from survey.questionnaires.questionnaire import Questionnaire

F = TypeVar("F", IndicatorFigure, CellFigure)


@dataclass(frozen=True)
class Provenance:
    """What a published figure carries: whence it comes, and what calculated it."""

    snapshot: str
    code: str


@dataclass(frozen=True)
class _Telling:
    """In which words, and by which questionnaire's."""

    words: Words
    questionnaire: Questionnaire

    def indicator(self, code: str) -> str:
        texts = {each.code: each.texts for each in self.questionnaire.indicators}
        return texts[code][self.words.language] if code in texts else code

    def category(self, dimension: str, code: str) -> str:
        return self.words.country(code) if dimension == COUNTRY else self.words.named(dimension, code)

    def wave(self, wave: int) -> str:
        return self.words.named("wave", str(wave))

    def maybe_share(self, share: float | None) -> str:
        return self.words["page.none"] if share is None else self.words.share(share)

    def maybe_interval(self, low: float | None, high: float | None) -> str:
        return self.words["page.none"] if low is None or high is None else self.words.interval(low, high)

    def maybe_points(self, difference: float | None, low: float | None, high: float | None) -> str:
        if difference is None:
            return self.words["page.none"]
        told = self.words.points(difference)
        if low is None or high is None:
            return told
        between = self.words["say.interval"].format(low=self.words.points(low), high=self.words.points(high))
        return f"{told} ({between})"

    def maybe_number(self, number: float | None) -> str:
        return self.words["page.none"] if number is None else self.words.number(number)


def document(
    figures: Figures,
    questionnaire: Questionnaire,
    words: Words,
    provenance: Provenance | None,
    lead: Literal["page.released", "page.live"] = "page.released",
) -> Document:
    """Everything there is to say. ``provenance``: None where it is not known whence the figures come."""
    telling = _Telling(words, questionnaire)
    exhibits = [
        *(_indicators(telling, wave, of_wave) for wave, of_wave in _by_wave(figures.indicators)),
        *([_changes(telling, figures)] if figures.changes else []),
        *(_programme(telling, figures.programme) if figures.programme else []),
        *(
            _cells(telling, dimension, wave, [cell for cell in of_wave if cell.dimension == dimension])
            for wave, of_wave in _by_wave(figures.cells)
            for dimension in DIMENSIONS
            if any(cell.dimension == dimension for cell in of_wave)
        ),
    ]
    methods = [words[f"methods.{each}"] for each in ("share", "intervals", "pilot", "suppression")]
    if provenance is not None:
        fields = {"snapshot": provenance.snapshot, "code": provenance.code}
        methods += [words["methods.snapshot"].format(**fields), words["methods.again"].format(**fields)]
    return Document(
        language=words.language,
        title=words["page.title"],
        lead=(words[lead].format(submissions=words.number(figures.submissions), version=figures.questionnaire),),
        exhibits=tuple(exhibits),
        methods_title=words["page.methods"],
        methods=tuple(methods),
        numbers=words["page.numbers"],
        page_number=words["page.number"],
    )


def _by_wave(figures: Sequence[F]) -> list[tuple[int, list[F]]]:
    waves: dict[int, list[F]] = defaultdict(list)
    for figure in figures:
        waves[figure.wave].append(figure)
    return sorted(waves.items())


def _indicators(telling: _Telling, wave: int, figures: Sequence[IndicatorFigure]) -> Exhibit:
    words = telling.words
    rows = {
        "share": [telling.maybe_share(figure.share) for figure in figures],
        "wilson": [telling.maybe_interval(figure.low, figure.high) for figure in figures],
        "clustered": [telling.maybe_interval(figure.cluster_low, figure.cluster_high) for figure in figures],
        "companies": [words.number(figure.clusters) for figure in figures],
        "count": [words.number(figure.count) for figure in figures],
        "valid": [words.number(figure.valid) for figure in figures],
        "dont_know": [words.number(figure.dont_know) for figure in figures],
        "not_applicable": [words.number(figure.not_applicable) for figure in figures],
        "declined": [words.number(figure.declined) for figure in figures],
        "n": [words.number(figure.n) for figure in figures],
        "pilot": [telling.maybe_share(figure.pilot) for figure in figures],
        "difference": [
            telling.maybe_points(figure.difference, figure.difference_low, figure.difference_high) for figure in figures
        ],
    }
    return Exhibit(
        code=f"indicators-{wave}",
        title=words["indicators.title"].format(wave=telling.wave(wave)),
        says=tuple(_says(telling, figure) for figure in figures),
        drawing=Dots(
            tuple(_dot(telling, figure) for figure in figures),
            share=words["indicators.legend_wilson"],
            clustered=words["indicators.legend_clustered"],
            pilot=words["indicators.legend_pilot"],
        )
        if any(share is not None for figure in figures for share in (figure.share, figure.pilot))
        else None,
        columns=(words["indicators.indicator"], *(telling.indicator(figure.code) for figure in figures)),
        rows=tuple((words[f"indicators.{row}"], *values) for row, values in rows.items()),
        notes=(words["indicators.note"],),
    )


def _says(telling: _Telling, figure: IndicatorFigure) -> str:
    words, label = telling.words, telling.indicator(figure.code)
    if figure.share is None:
        return words["indicators.nothing"].format(label=label)
    said = words["indicators.says"].format(
        label=label,
        share=words.share(figure.share),
        count=words.number(figure.count),
        valid=words.number(figure.valid),
        interval=telling.maybe_interval(figure.low, figure.high),
    )
    beside = beside_the_pilot(figure, words.language)
    return f"{said} {beside}" if beside else said


def _dot(telling: _Telling, figure: IndicatorFigure) -> Dot:
    words = telling.words
    return Dot(
        label=telling.indicator(figure.code),
        share=figure.share,
        wilson=_interval(figure.low, figure.high),
        clustered=_interval(figure.cluster_low, figure.cluster_high),
        pilot=figure.pilot,
        told=words["say.no_answer"] if figure.share is None else _part(words, figure.share, figure.count, figure.valid),
    )


def _interval(low: float | None, high: float | None) -> Interval | None:
    return None if low is None or high is None else Interval(low, high)


def _part(words: Words, share: float, count: int, whole: int) -> str:
    return words["say.part"].format(share=words.share(share), count=words.number(count), whole=words.number(whole))


def _changes(telling: _Telling, figures: Figures) -> Exhibit:
    words = telling.words
    shares = {(figure.code, figure.wave): figure.share for figure in figures.indicators}

    def told(change: Change) -> str:
        return words["say.point" if words.points(change.difference)[1:] == "1" else "say.points"].format(
            points=words.points(change.difference), low=words.points(change.low), high=words.points(change.high)
        )

    earlier, later = figures.changes[0].earlier, figures.changes[0].later
    return Exhibit(
        code="changes",
        title=words["changes.title"],
        says=tuple(
            words["changes.says"].format(
                label=telling.indicator(change.code), since=since_the_wave_before(change, words.language)
            )
            for change in figures.changes
        ),
        drawing=Changes(
            tuple(
                BeforeAfter(
                    label=telling.indicator(change.code),
                    before=shares.get((change.code, change.earlier)),
                    after=shares.get((change.code, change.later)),
                    told=told(change),
                )
                for change in figures.changes
            ),
            before=telling.wave(earlier),
            after=telling.wave(later),
        ),
        columns=(
            words["indicators.indicator"],
            telling.wave(earlier),
            telling.wave(later),
            words["changes.change"],
            words["changes.interval"],
        ),
        rows=tuple(
            (
                telling.indicator(change.code),
                telling.maybe_share(shares.get((change.code, change.earlier))),
                telling.maybe_share(shares.get((change.code, change.later))),
                words.points(change.difference),
                words["say.interval"].format(low=words.points(change.low), high=words.points(change.high)),
            )
            for change in figures.changes
        ),
    )


def _programme(telling: _Telling, figures: ProgrammeFigures) -> list[Exhibit]:
    return [
        *([_responses(telling, figures.responses)] if figures.responses else []),
        *([_funnel(telling, figures)] if figures.funnel else []),
        _flows(telling, figures.flows),
        *([_scarcity(telling, figures.scarcity)] if figures.scarcity else []),
    ]


def _responses(telling: _Telling, responses: Sequence[ResponseFigure]) -> Exhibit:
    words = telling.words
    waves = sorted({response.wave for response in responses})

    def says(wave: int) -> str:
        of_wave = [response for response in responses if response.wave == wave]
        invited = sum(response.invited for response in of_wave)
        told = [response.complete for response in of_wave if response.complete is not None]
        complete = sum(told)
        if not invited:
            return words["responses.nobody"].format(wave=telling.wave(wave))
        if len(told) < len(of_wave):
            return words["responses.few"].format(wave=telling.wave(wave), invited=words.number(invited))
        return words["responses.says"].format(
            wave=telling.wave(wave),
            complete=words.number(complete),
            invited=words.number(invited),
            share=words.share(complete / invited),
        )

    def maybe(number: int | None) -> str:
        return words["page.suppressed"] if number is None else words.number(number)

    def bar(response: ResponseFigure) -> Bar:
        rate = response.complete_rate
        return Bar(
            label=words.named("party", response.party),
            value=response.complete or 0,
            whole=response.invited,
            told=maybe(response.complete)
            if rate is None or response.complete is None
            else _part(words, rate, response.complete, response.invited),
        )

    return Exhibit(
        code="responses",
        title=words["responses.title"],
        says=tuple(says(wave) for wave in waves),
        drawing=Bars(
            tuple(
                Group(
                    telling.wave(wave),
                    tuple(bar(response) for response in responses if response.wave == wave),
                    most=max(response.invited for response in responses),
                )
                for wave in waves
            )
        ),
        columns=tuple(
            words[f"responses.{column}"]
            for column in ("who", "invited", "sent", "started", "declined", "complete", "rate")
        ),
        rows=tuple(
            (
                f"{telling.wave(response.wave)}: {words.named('party', response.party)}",
                words.number(response.invited),
                maybe(response.sent),
                maybe(response.started),
                maybe(response.declined),
                maybe(response.complete),
                telling.maybe_share(response.complete_rate),
            )
            for response in responses
        ),
        notes=(words["responses.note"],),
    )


def _funnel(telling: _Telling, figures: ProgrammeFigures) -> Exhibit:
    words = telling.words
    companies = [stage for stage in figures.funnel if stage.stage == REGISTERED]
    exchanges = [stage for stage in figures.funnel if stage.stage != REGISTERED]

    def bars(stages: Sequence[StageFigure]) -> tuple[Bar, ...]:
        before = [None, *(stage.number for stage in stages)]
        return tuple(
            Bar(words.named("stage", stage.stage), stage.number, whole, _told_stage(words, stage))
            for stage, whole in zip(stages, before, strict=False)
        )

    ends = tuple(
        Bar(words.named("stage", end.stage), end.number, None, words.number(end.number)) for end in figures.ends
    )
    registered = sum(stage.number for stage in companies)
    first, last = (exchanges[0].number, exchanges[-1].number) if exchanges else (0, 0)
    groups = (
        Group(words["funnel.companies"], bars(companies), most=registered),
        Group(words["funnel.exchanges"], bars(exchanges), most=first),
        Group(words["funnel.ended"], ends, most=first),
    )
    return Exhibit(
        code="funnel",
        title=words["funnel.title"],
        says=(
            words["funnel.says"].format(
                registered=words.number(registered),
                left=words.number(figures.left),
                first=words.number(first),
                last=words.number(last),
                share=telling.maybe_share(last / first if first else None),
            ),
        ),
        drawing=Bars(tuple(group for group in groups if group.bars)),
        columns=tuple(words[f"funnel.{column}"] for column in ("stage", "number", "conversion", "median")),
        rows=(
            *(
                (
                    words.named("stage", stage.stage),
                    words.number(stage.number),
                    telling.maybe_share(stage.conversion),
                    telling.maybe_number(stage.median_days),
                )
                for stage in figures.funnel
            ),
            (words["stage.left"], words.number(figures.left), words["page.none"], words["page.none"]),
            *(
                (words.named("stage", end.stage), words.number(end.number), words["page.none"], words["page.none"])
                for end in figures.ends
            ),
        ),
        notes=(words["funnel.note"],),
    )


def _told_stage(words: Words, stage: StageFigure) -> str:
    told = words.number(stage.number)
    if stage.conversion is not None:
        told = words["funnel.told"].format(number=told, conversion=words.share(stage.conversion))
    if stage.median_days is not None:
        told = words["funnel.days"].format(told=told, days=words.number(stage.median_days))
    return told


def _flows(telling: _Telling, flows: Sequence[FlowCount]) -> Exhibit:
    words = telling.words
    codes = tuple(sorted({country for flow in flows for country in (flow.sender_country, flow.host_country)}))
    most = max(flows, key=lambda flow: flow.number, default=None)
    says = (
        (words["flows.none"],)
        if most is None
        else (
            words["flows.says"].format(
                number=words.number(sum(flow.number for flow in flows)), pairs=words.number(len(flows))
            ),
            words["flows.most"].format(
                sender=words.country(most.sender_country),
                host=words.country(most.host_country),
                number=words.number(most.number),
            ),
        )
    )
    return Exhibit(
        code="flows",
        title=words["flows.title"],
        says=says,
        drawing=None
        if most is None
        else Matrix(
            rows=codes,
            columns=codes,
            cells=tuple(
                Cell(flow.sender_country, flow.host_country, flow.number / most.number, words.number(flow.number))
                for flow in flows
            ),
            rows_are=words["flows.sender"],
            columns_are=words["flows.host"],
            sign=words["page.sign"],
        ),
        columns=(f"{words['flows.sender']} → {words['flows.host']}", words["flows.number"]),
        rows=tuple(
            (
                f"{words.country(flow.sender_country)} ({flow.sender_country})"
                f" → {words.country(flow.host_country)} ({flow.host_country})",
                words.number(flow.number),
            )
            for flow in flows
        ),
        notes=(words["flows.note"],),
    )


def _scarcity(telling: _Telling, scarcity: Sequence[ScarcityFigure]) -> Exhibit:
    words = telling.words
    scarce = [figure for figure in scarcity if figure.hosting_places < figure.wanted]
    return Exhibit(
        code="scarcity",
        title=words["scarcity.title"],
        says=(
            words["scarcity.says"].format(countries=", ".join(words.country(figure.country) for figure in scarce))
            if scarce
            else words["scarcity.none"],
        ),
        drawing=Bars(
            (
                Group(
                    "",
                    tuple(
                        Bar(
                            label=words.country(figure.country),
                            value=figure.hosting_places,
                            whole=figure.wanted,
                            told=words["scarcity.told"].format(
                                places=words.number(figure.hosting_places), wanted=words.number(figure.wanted)
                            ),
                        )
                        for figure in scarcity
                    ),
                    most=max(max(figure.hosting_places, figure.wanted) for figure in scarcity),
                ),
            )
        ),
        columns=tuple(
            words[f"scarcity.{column}"]
            for column in ("country", "companies", "placements", "offers", "places", "wanted", "ratio")
        ),
        rows=tuple(
            (
                words.country(figure.country),
                *(
                    words.number(number)
                    for number in (
                        figure.companies,
                        figure.placements,
                        figure.hosting_offers,
                        figure.hosting_places,
                        figure.wanted,
                    )
                ),
                telling.maybe_number(figure.places_per_wanted),
            )
            for figure in scarcity
        ),
        notes=(words["scarcity.note"],),
    )


def _cells(telling: _Telling, dimension: str, wave: int, cells: Sequence[CellFigure]) -> Exhibit:
    """Of one dimension in a wave: categories by indicators. What is hidden has no number to be told."""
    words = telling.words
    codes = list(dict.fromkeys(cell.code for cell in cells))
    categories = list(dict.fromkeys(cell.category for cell in cells))
    by_place = {(cell.category, cell.code): cell for cell in cells}
    known = [cell for cell in cells if cell.share is not None]

    def in_table(cell: CellFigure | None) -> str:
        if cell is None:
            return words["page.none"]
        if cell.hidden:
            return words["page.suppressed"]
        if cell.share is None:
            return words["say.no_answer"]
        return words["cells.told"].format(share=words.share(cell.share), valid=words.number(cell.valid or 0))

    return Exhibit(
        code=f"by-{dimension.replace('_', '-')}-{wave}",
        title=words["cells.title"].format(dimension=words.named("dimension", dimension), wave=telling.wave(wave)),
        says=(
            words["cells.says"].format(
                hidden=words.number(sum(cell.hidden for cell in cells)), all=words.number(len(cells))
            ),
        ),
        drawing=Matrix(
            rows=tuple(telling.category(dimension, category) for category in categories),
            columns=tuple(telling.indicator(code) for code in codes),
            cells=tuple(
                Cell(
                    telling.category(dimension, cell.category),
                    telling.indicator(cell.code),
                    None if cell.hidden else cell.share,
                    "" if cell.hidden else in_table(cell),
                )
                for cell in cells
                if cell.hidden or cell in known
            ),
            rows_are="",
            columns_are="",
            sign=words["page.sign"],
        ),
        columns=(words["cells.category"], *(telling.indicator(code) for code in codes)),
        rows=tuple(
            (
                telling.category(dimension, category),
                *(in_table(by_place.get((category, code))) for code in codes),
            )
            for category in categories
        ),
    )
