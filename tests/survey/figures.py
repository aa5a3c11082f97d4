"""An evaluation to be told: every kind of figure, numbers that no two of them share, and some cells hidden."""

from survey.evaluation.figures import (
    CellFigure,
    Change,
    Figures,
    FlowCount,
    IndicatorFigure,
    ProgrammeFigures,
    ResponseFigure,
    ScarcityFigure,
    StageCount,
    StageFigure,
)
from survey.page.exhibits import Provenance

PROVENANCE = Provenance("8042117650912345678", "a1b2c3d4")


def indicator(
    wave: int, code: str, count: int, valid: int, pilot: float | None, verdict: str | None
) -> IndicatorFigure:
    share = count / valid if valid else None
    return IndicatorFigure(
        wave=wave,
        code=code,
        n=valid + 6,
        valid=valid,
        count=count,
        share=share,
        low=None if share is None else max(0.0, share - 0.1),
        high=None if share is None else min(1.0, share + 0.06),
        clusters=valid * 2 // 3,
        design_effect=None if share is None else 1.3,
        cluster_low=None if share is None else max(0.0, share - 0.13),
        cluster_high=None if share is None else min(1.0, share + 0.08),
        dont_know=3,
        not_applicable=2,
        declined=1,
        pilot=pilot,
        difference=None if share is None or pilot is None else share - pilot,
        difference_low=None if share is None or pilot is None else share - 0.1 - pilot,
        difference_high=None if share is None or pilot is None else share + 0.06 - pilot,
        verdict=verdict,
    )


def cell(wave: int, code: str, dimension: str, category: str, count: int | None, valid: int | None) -> CellFigure:
    share = None if count is None or valid is None else count / valid
    return CellFigure(wave, code, dimension, category, valid, count, share, share and share / 2, share and 1.0)


CODES = ("SEND_MATCH", "HOST_MATCH", "XBORDER", "NEWPROD", "EMP_PROFDEV")

FIGURES = Figures(
    questionnaire="2026.1",
    submissions=1234,
    indicators=(
        indicator(1, "SEND_MATCH", 40, 44, 0.91, "alike"),
        indicator(1, "HOST_MATCH", 28, 41, 0.95, "below"),
        indicator(1, "XBORDER", 76, 84, 0.90, "alike"),
        indicator(1, "NEWPROD", 80, 83, 0.75, "above"),
        indicator(1, "EMP_PROFDEV", 0, 0, 0.81, None),
        indicator(2, "XBORDER", 31, 47, None, None),
        indicator(2, "NEWPROD", 36, 46, None, None),
    ),
    changes=(
        Change("XBORDER", 1, 2, -0.2452, -0.39, -0.10, "down"),
        Change("NEWPROD", 1, 2, 0.0126, -0.11, 0.13, "alike"),
    ),
    cells=tuple(
        cell(1, code, dimension, category, *numbers)
        for dimension, categories in {
            "country": ("AT", "CZ", "DE", "IT"),
            "size_class": ("micro", "small", "medium"),
        }.items()
        for place, category in enumerate(categories)
        for code in CODES[:4]
        for numbers in [
            (None, None) if place == 1 or (place == 0 and code == "HOST_MATCH") else (9 + place, 12 + place)
        ]
    ),
    programme=ProgrammeFigures(
        responses=(
            ResponseFigure(1, "sender", 54, 53, 49, 44, 3, 53 / 54, 49 / 54, 44 / 54),
            ResponseFigure(1, "host", 54, 54, 45, 41, 2, 1.0, 45 / 54, 41 / 54),
            ResponseFigure(1, "traveller", 54, 50, 20, 0, 1, 50 / 54, 20 / 54, 0.0),
            ResponseFigure(2, "sender", 0, 0, 0, 0, 0, None, None, None),
            ResponseFigure(2, "host", 54, 51, 48, 47, 4, 51 / 54, 48 / 54, 47 / 54),
            ResponseFigure(2, "traveller", 53, 52, 40, 39, 6, 52 / 53, 40 / 53, 39 / 53),
        ),
        funnel=(
            StageFigure("registered", 1120, None, None),
            StageFigure("proposed", 97, None, 11.0),
            StageFigure("accepted", 73, 73 / 97, 6.5),
            StageFigure("drafted", 70, 70 / 73, 15.0),
            StageFigure("agreed", 62, 62 / 70, 21.0),
            StageFigure("ongoing", 58, 58 / 62, 33.0),
            StageFigure("completed", 54, 54 / 58, 30.0),
        ),
        left=17,
        ends=(
            StageCount("declined", 22),
            StageCount("expired", 8),
            StageCount("withdrawn", 5),
            StageCount("cancelled", 4),
        ),
        scarcity=(
            ScarcityFigure("AT", 120, 40, 25, 31, 77, 31 / 77),
            ScarcityFigure("CZ", 61, 18, 29, 35, 12, 35 / 12),
            ScarcityFigure("DE", 402, 190, 160, 210, 211, 210 / 211),
            ScarcityFigure("MT", 6, 3, 4, 7, 0, None),
        ),
        flows=(
            FlowCount("AT", "DE", 12),
            FlowCount("CZ", "IT", 3),
            FlowCount("DE", "IT", 24),
            FlowCount("IT", "ES", 10),
            FlowCount("PL", "FR", 5),
        ),
    ),
)
