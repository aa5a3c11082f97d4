"""The report's charts, as SVG that stands alone: no script, nothing fetched, legible without colours.

What tells two marks apart is their shape or their place, and numbers stand beside what they are of. The colours are those of
Okabe and Ito.
"""

import re
import textwrap
from collections.abc import Sequence
from html import escape
from typing import Any

import altair as alt
import vl_convert

from survey.page.content import Bars, Changes, Dots, Drawing, Exhibit, Matrix

BLUE, ORANGE, GREEN, SKY, INK, FAINT, SOFT = "#0072b2", "#d55e00", "#009e73", "#56b4e9", "#1b1b1b", "#dddddd", "#5a5a5a"
FONT = "Helvetica, Arial, sans-serif"
WIDTH = 640
"""Of a whole chart, in pixels; a page shrinks it to its own."""
STEP = 26
"""Height of a row."""
LETTER = 7.4
"""Width that is kept for a letter: the reader's font may be wider than the one that charts are laid out with."""
LABEL_LETTERS = 30
"""In a line of a row's label."""
COLUMN_LETTERS = 16
"""In a line of a matrix's labels."""

Row = dict[str, Any]
Layered = alt.LayerChart | alt.FacetChart


def drawn(exhibit: Exhibit) -> str | None:
    """The exhibit's chart with its text alternative, or nothing where it has none.

    The library drops a chart's description, so title and description are set into the SVG here.
    """
    if exhibit.drawing is None:
        return None
    chart = _chart(exhibit.drawing).configure(
        aria=False,
        background="transparent",
        font=FONT,
        padding=4,
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            labelColor=INK,
            titleColor=INK,
            gridColor=FAINT,
            domainColor=FAINT,
            tickColor=FAINT,
            labelFontSize=13,
            titleFontSize=13,
            titleFontWeight="normal",
            labelLimit=400,
        ),
        axisY=alt.AxisConfig(ticks=False, labelPadding=8, grid=False, domain=False),
        legend=alt.LegendConfig(
            orient="bottom",
            direction="vertical",
            labelColor=INK,
            labelFontSize=13,
            labelLimit=WIDTH,
            symbolSize=110,
            title=None,
        ),
        title=alt.TitleConfig(color=INK, fontSize=13, fontWeight="bold", anchor="start", frame="group", offset=6),
        text=alt.MarkConfig(color=INK, fontSize=13),
        scale=alt.ScaleConfig(bandPaddingInner=0.25, bandPaddingOuter=0.1),
    )
    opening, rest = vl_convert.vegalite_to_svg(chart.to_dict()).split(">", 1)
    width, height = (round(float(side)) for side in re.findall(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', opening)[0])
    title, desc = (f"chart-{exhibit.code}-{part}" for part in ("title", "desc"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        f' role="img" aria-labelledby="{title} {desc}">'
        f'<title id="{title}">{escape(exhibit.title)}</title><desc id="{desc}">{escape(" ".join(exhibit.says))}</desc>{rest}'
    )


def _chart(drawing: Drawing) -> alt.TopLevelMixin:
    match drawing:
        case Dots():
            return _dots(drawing)
        case Bars():
            return _bars(drawing)
        case Changes():
            return _changes(drawing)
        case Matrix():
            return _matrix(drawing)


def _labels(labels: Sequence[str]) -> tuple[list[str], alt.Axis, int]:
    """Labels in lines, the axis that shows them, and the width that is left beside it."""
    lines = [_wrapped(label, LABEL_LETTERS) for label in labels]
    longest = max((len(line) for label in lines for line in label), default=0)
    extent = round(LETTER * longest) + 8
    axis = alt.Axis(minExtent=extent, maxExtent=extent, labelExpr=_LINES, labelOffset=_MIDDLE)
    return [_BREAK.join(label) for label in lines], axis, WIDTH - extent - 16


def _wrapped(label: str, letters: int) -> list[str]:
    return textwrap.wrap(label, letters, break_long_words=False, break_on_hyphens=False) or [""]


_BREAK = " | "
_LINES = f"split(datum.label, '{_BREAK}')"
_MIDDLE: Any = {
    "condition": [{"test": f"length({_LINES}) == {lines}", "value": 7.5 * (1 - lines)} for lines in (2, 3, 4, 5)],
    "value": 0,
}
"""Lifts a label of several lines, so that their middle, and not the first, is at its row's."""


def _height(labels: Sequence[str], least: int) -> int:
    return max([least, *(17 * (label.count(_BREAK) + 1) + 6 for label in labels)]) * len(labels)


def _share_axis() -> alt.Axis:
    return alt.Axis(labelExpr="round(datum.value * 100) + ' %'", values=[0, 0.25, 0.5, 0.75, 1], labelFlush=False)


def _dots(drawing: Dots) -> Layered:
    """Above the row's middle the share with Wilson's interval, below it the cluster-robust one; the pilot's between."""
    labels, axis, width = _labels([row.label for row in drawing.rows])
    beside = round(LETTER * max((len(row.told) for row in drawing.rows), default=0)) + 12
    values: list[Row] = []
    for label, row in zip(labels, drawing.rows, strict=True):
        for series, at, interval in (
            (drawing.share, row.share, row.wilson),
            (drawing.clustered, row.share, row.clustered),
        ):
            if at is not None and interval is not None:
                values.append({"what": label, "series": series, "at": at, "low": interval.low, "high": interval.high})
        if row.pilot is not None:
            values.append({"what": label, "series": drawing.pilot, "at": row.pilot})
    told = [{"what": label, "told": row.told} for label, row in zip(labels, drawing.rows, strict=True)]
    every = {drawing.share: ("circle", BLUE), drawing.pilot: ("diamond", ORANGE), drawing.clustered: ("square", GREEN)}
    names = [name for name in every if any(value["series"] == name for value in values)]
    shapes, colours = ([every[name][part] for name in names] for part in (0, 1))
    x = alt.X("at:Q", scale=alt.Scale(domain=[0, 1]), axis=_share_axis(), title=None)
    offset = alt.YOffset("series:N", scale=alt.Scale(domain=names))
    base = alt.Chart(alt.Data(values=values)).encode(
        y=alt.Y("what:N", sort=labels, title=None, axis=axis), yOffset=offset
    )
    lines = [
        base.transform_filter(alt.datum.series == name)
        .transform_calculate(at="datum.low")
        .mark_rule(strokeWidth=thick, color=every[name][1], strokeDash=dash)
        .encode(x=x, x2="high:Q")
        for name, thick, dash in ((drawing.share, 3, [1, 0]), (drawing.clustered, 2, [5, 3]))
    ]
    points = base.mark_point(filled=True, opacity=1, size=110).encode(
        x=x,
        shape=alt.Shape("series:N", scale=alt.Scale(domain=names, range=shapes)),
        color=alt.Color("series:N", scale=alt.Scale(domain=names, range=colours)),
    )
    words = (
        alt.Chart(alt.Data(values=told))
        .mark_text(align="left")
        .encode(y=alt.Y("what:N", sort=labels, title=None, axis=axis), x=alt.value(width - beside + 10), text="told:N")
    )
    return alt.layer(*lines, points, words).properties(width=width - beside, height=_height(labels, 48))


def _bars(drawing: Bars) -> alt.VConcatChart:
    """What a bar is a part of is an outline, whose end may be before the bar's."""
    bars = [bar for group in drawing.groups for bar in group.bars]
    labels, axis, width = _labels([bar.label for bar in bars])
    room = round(width - LETTER * max((len(bar.told) for bar in bars), default=0)) - 10
    parts: list[Layered] = []
    for group in drawing.groups:
        own, labels = labels[: len(group.bars)], labels[len(group.bars) :]
        scale = alt.Scale(domain=[0, max(1, group.most)], range=[0, room])
        values = [
            {
                "what": label,
                "value": bar.value,
                "whole": bar.whole or 0,
                "end": max(bar.value, bar.whole or 0),
                "told": bar.told,
            }
            for label, bar in zip(own, group.bars, strict=True)
        ]
        base = alt.Chart(alt.Data(values=values)).encode(y=alt.Y("what:N", sort=own, title=None, axis=axis))
        filled = base.mark_bar(color=SKY, stroke=BLUE, strokeWidth=1)
        outline = base.transform_filter("datum.whole > 0").mark_bar(fillOpacity=0, stroke=INK, strokeWidth=1.5)
        told = base.mark_text(align="left", dx=6)
        parts.append(
            alt.layer(
                filled.encode(x=alt.X("value:Q", axis=None, scale=scale)),
                outline.encode(x=alt.X("whole:Q", axis=None, scale=scale)),
                told.encode(x=alt.X("end:Q", axis=None, scale=scale), text="told:N"),
            ).properties(width=width, height=_height(own, STEP), title=group.name)
        )
    return alt.vconcat(*parts, spacing=14).resolve_scale(x="independent")


def _changes(drawing: Changes) -> Layered:
    """Before and after on one line, with an arrow's direction in the shapes: a hollow circle and a filled triangle."""
    labels, axis, width = _labels([row.label for row in drawing.rows])
    beside = round(LETTER * max((len(row.told) for row in drawing.rows), default=0)) + 12
    values = [
        {"what": label, "series": series, "at": at}
        for label, row in zip(labels, drawing.rows, strict=True)
        for series, at in ((drawing.before, row.before), (drawing.after, row.after))
        if at is not None
    ]
    spans = [
        {"what": label, "at": row.before, "to": row.after}
        for label, row in zip(labels, drawing.rows, strict=True)
        if row.before is not None and row.after is not None
    ]
    told = [{"what": label, "told": row.told} for label, row in zip(labels, drawing.rows, strict=True)]
    names = [drawing.before, drawing.after]
    x = alt.X("at:Q", scale=alt.Scale(domain=[0, 1]), axis=_share_axis(), title=None)
    y = alt.Y("what:N", sort=labels, title=None, axis=axis)
    lines = alt.Chart(alt.Data(values=spans)).mark_rule(color=SOFT, strokeWidth=2).encode(x=x, x2="to:Q", y=y)
    points = (
        alt.Chart(alt.Data(values=values))
        .mark_point(opacity=1, size=110, strokeWidth=2, fill="#ffffff")
        .encode(
            x=x,
            y=y,
            shape=alt.Shape("series:N", scale=alt.Scale(domain=names, range=["circle", "triangle-up"])),
            stroke=alt.Stroke("series:N", scale=alt.Scale(domain=names, range=[BLUE, ORANGE])),
        )
    )
    words = (
        alt.Chart(alt.Data(values=told))
        .mark_text(align="left")
        .encode(y=y, x=alt.value(width - beside + 10), text="told:N")
    )
    return alt.layer(lines, points, words).properties(width=width - beside, height=_height(labels, 38))


def _matrix(drawing: Matrix) -> Layered:
    """The deeper the blue, the more; the number says it, and a cross that it is suppressed."""
    rows, columns = ([_wrapped(each, COLUMN_LETTERS) for each in side] for side in (drawing.rows, drawing.columns))
    lines = {
        name: _BREAK.join(wrapped) for name, wrapped in zip(drawing.rows + drawing.columns, rows + columns, strict=True)
    }
    shown = [
        {"row": lines[cell.row], "column": lines[cell.column], "level": cell.level, "told": cell.told}
        for cell in drawing.cells
        if cell.level is not None
    ]
    hidden = [
        {"row": lines[cell.row], "column": lines[cell.column], "sign": drawing.sign}
        for cell in drawing.cells
        if cell.level is None
    ]
    everywhere = [{"row": lines[row], "column": lines[column]} for row in drawing.rows for column in drawing.columns]
    widest = max([len(cell.told) for cell in drawing.cells] + [len(line) for wrapped in columns for line in wrapped])
    above = 15 * (max(len(wrapped) for wrapped in columns) - 1)

    def scale(names: Sequence[str]) -> alt.Scale:
        return alt.Scale(domain=[lines[name] for name in names], paddingInner=0.06, paddingOuter=0)

    text = {"labelExpr": _LINES, "labelFontSize": 12}
    top = alt.Axis(orient="top", labelAngle=0, labelPadding=6 + above, ticks=False, domain=False, **text)
    x = alt.X("column:N", title=drawing.columns_are, scale=scale(drawing.columns), axis=top)
    y = alt.Y("row:N", title=drawing.rows_are, scale=scale(drawing.rows), axis=alt.Axis(labelOffset=_MIDDLE, **text))
    layers: list[alt.Chart] = [alt.Chart(alt.Data(values=everywhere)).mark_rect(color="#f2f2ef").encode(x=x, y=y)]
    if shown:
        base = alt.Chart(alt.Data(values=shown)).encode(x=x, y=y)
        shade = alt.Color("level:Q", scale=alt.Scale(domain=[0, 1], range=["#e6f3fb", SKY]), legend=None)
        layers += [base.mark_rect().encode(color=shade), base.mark_text(fontSize=12).encode(text="told:N")]
    if hidden:
        cross = alt.Shape("sign:N", scale=alt.Scale(domain=[drawing.sign], range=["cross"]))
        layers += [
            alt.Chart(alt.Data(values=hidden))
            .mark_point(size=70, color=SOFT, strokeWidth=1.5, opacity=1, angle=45)
            .encode(x=x, y=y, shape=cross)
        ]
    return alt.layer(*layers).properties(
        width=max(30, round(LETTER * widest) + 6) * len(drawing.columns),
        height=max([30, *(16 * len(wrapped) + 4 for wrapped in rows)]) * len(drawing.rows),
    )
