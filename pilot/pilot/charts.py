"""The report's charts, as SVG to stand inside a page: no script, nothing fetched, legible to the colour-blind.

Colours are those of Okabe and Ito, and never the only thing that tells two marks apart. The page's style sheet replaces them in
the dark by their value, so each is named here once.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import vl_convert

from pilot import names
from pilot.names import indicator

BLUE, ORANGE, GREEN, SKY, INK, FAINT = "#0072b2", "#d55e00", "#009e73", "#56b4e9", "#1b1b1b", "#dddddd"
FONT = "Helvetica, Arial, sans-serif"
WIDTH = 430
"""Of a whole chart, in pixels: not much more than a telephone's, so that text need not shrink."""
STEP = 25
"""Height of a row."""
LETTER = 7.6
"""Width that is kept for a letter: the reader's font may be wider than the one that charts are laid out with."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Mark:
    """What the page's legend shows and says for one of a chart's marks."""

    symbol: str
    colour: str
    says: str

    @property
    def shape(self) -> str:
        """Vega's name for the symbol."""
        return {"●": "circle", "▲": "triangle-up", "■": "square", "◆": "diamond"}[self.symbol]


def drawn(chart: alt.TopLevelMixin) -> str:
    """SVG for inside an HTML document, which needs no namespaces; size is given by the view box alone."""
    alone = chart.configure(
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
            titleFontSize=12,
            titleFontWeight="normal",
            labelLimit=240,
        ),
        axisY=alt.AxisConfig(ticks=False, labelPadding=8, grid=False, domain=False),
        header=alt.HeaderConfig(labelColor=INK, titleColor=INK),
        title=alt.TitleConfig(color=INK, fontSize=13, fontWeight="bold", anchor="start", frame="group", offset=6),
        text=alt.MarkConfig(color=INK, fontSize=13),
        scale=alt.ScaleConfig(bandPaddingInner=0.25, bandPaddingOuter=0.1),
    )
    opening, rest = vl_convert.vegalite_to_svg(alone.to_dict()).split(">", 1)
    width = re.findall(r'width="([0-9.]+)"', opening)[0]
    box = re.findall(r'viewBox="[^"]*"', opening)[0]
    return f'<svg {box} style="max-width:{width}px">{rest}'


def _labels(rows: Sequence[Row], **more: Any) -> tuple[alt.Axis, int]:
    """The axis of the rows' names, and the width that is left beside it."""
    longest = max((len(line) for row in rows for line in row["what"].split(" | ")), default=0)
    extent = min(240, round(LETTER * longest) + 8)
    return alt.Axis(minExtent=extent, maxExtent=extent, **more), WIDTH - extent - 16


def funnel(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Companies above exchanges, on one scale."""
    companies, exchanges = (
        [{"what": name, "count": counts[unit][code]} for code, name in names_.items()]
        for unit, names_ in (("companies", names.FUNNEL), ("exchanges", names.STAGES))
    )
    most = max(row["count"] for row in [*companies, *exchanges])
    return drawn(
        alt.vconcat(
            _counted(companies, BLUE, most, "Companies", beside=exchanges),
            _counted(exchanges, ORANGE, most, "Exchanges", beside=companies),
            spacing=14,
        )
    )


def counted(counts: Mapping[str, int]) -> str:
    """A bar for each."""
    rows = [{"what": name, "count": count} for name, count in counts.items()]
    return drawn(_counted(rows, BLUE, most=max(counts.values(), default=0)))


def _counted(
    rows: Sequence[Row], colour: str, most: int, title: str = "", beside: Sequence[Row] | None = None
) -> alt.LayerChart | alt.FacetChart:
    """Bars that say their number. ``beside``: rows of a chart whose bars are to begin at the same place."""
    labels, width = _labels(rows if beside is None else [*rows, *beside])
    bars = (
        alt.Chart(alt.Data(values=list(rows)))
        .mark_bar(color=colour, cornerRadiusEnd=2)
        .encode(
            x=alt.X("count:Q", axis=None, scale=alt.Scale(domain=[0, max(1, most) * 1.15])),
            y=alt.Y("what:N", sort=None, title=None, axis=labels),
        )
    )
    numbers = bars.mark_text(align="left", dx=5).encode(text=alt.Text("count:Q", format=","))
    return alt.layer(bars, numbers).properties(width=width, height=STEP * len(rows), title=title)


INDICATOR_MARKS = {
    "share": Mark("●", BLUE, "simulated, with its 95% interval"),
    "pilot": Mark("◆", ORANGE, "MobiliseSME, 2017"),
}


def indicators(estimates: Sequence[Mapping[str, Any]]) -> str:
    """Point and interval of what was answered here, and beside it what the pilot reported."""
    rows = [{**each, "what": indicator(each["code"])} for each in estimates]
    labels, width = _labels(rows, labelExpr="split(datum.label, ' | ')")
    scale, axis = alt.Scale(domain=[0, 1]), alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1], labelFlush=False)
    base = alt.Chart(alt.Data(values=rows)).encode(y=alt.Y("what:N", sort=None, title=None, axis=labels))
    interval = (
        base.transform_filter("isValid(datum.share)")
        .mark_rule(color=BLUE, strokeWidth=3)
        .encode(x=alt.X("low:Q", scale=scale, axis=axis, title=None), x2="high:Q")
    )
    points = [
        base.transform_filter(f"isValid(datum.{field})")
        .mark_point(filled=True, opacity=1, size=110, shape=mark.shape, color=mark.colour)
        .encode(x=alt.X(f"{field}:Q", scale=scale, axis=axis, title=None))
        for field, mark in INDICATOR_MARKS.items()
    ]
    return drawn(alt.layer(interval, *points).properties(width=width, height=46 * len(rows)))


SIDES = {"sent": Mark("■", BLUE, "travellers sent"), "hosted": Mark("■", ORANGE, "travellers hosted")}


def sides(rows: Sequence[Mapping[str, Any]], trait: str, names_: Mapping[str, str]) -> str:
    """Travellers sent and hosted, by country or sector, the busiest first; the label counts the companies."""
    in_order = sorted(rows, key=lambda row: (-row["sent"] - row["hosted"], -row["companies"], row[trait]))
    values = [
        {"what": f"{names_.get(row[trait], row[trait])} ({row['companies']})", "side": side, "count": row[side]}
        for row in in_order
        for side in SIDES
    ]
    labels, width = _labels(values)
    base = alt.Chart(alt.Data(values=values)).encode(
        y=alt.Y("what:N", sort=None, title=None, axis=labels),
        yOffset=alt.YOffset("side:N", sort=list(SIDES)),
        x=alt.X("count:Q", title=None, stack=None, axis=alt.Axis(tickMinStep=1, format="d", tickCount=5)),
    )
    bars = base.mark_bar(cornerRadiusEnd=2).encode(
        color=alt.Color(
            "side:N",
            scale=alt.Scale(domain=list(SIDES), range=[mark.colour for mark in SIDES.values()]),
            legend=None,
        )
    )
    return drawn(alt.layer(bars).properties(width=width, height=STEP * len(in_order)))


def matrix(rows: Sequence[Mapping[str, Any]], stage: str) -> str:
    """Exchanges that came to this stage, sender's country by host's; the deeper the colour, the more."""
    codes = sorted({row[side] for row in rows for side in ("sender", "host")})
    values = [{"sender": row["sender"], "host": row["host"], "count": row[stage]} for row in rows if row[stage]]
    most = max((row["count"] for row in values), default=1)
    scale = alt.Scale(domain=codes, paddingInner=0.06, paddingOuter=0)
    base = alt.Chart(alt.Data(values=values)).encode(
        x=alt.X(
            "host:N",
            title="host",
            scale=scale,
            axis=alt.Axis(orient="top", labelAngle=0, ticks=False, domain=False, labelFontSize=11),
        ),
        y=alt.Y("sender:N", title="sender", scale=scale, axis=alt.Axis(labelFontSize=11)),
    )
    cells = base.mark_rect(color=SKY).encode(
        opacity=alt.Opacity("count:Q", scale=alt.Scale(domain=[0, most], range=[0.15, 1]), legend=None)
    )
    grid = (
        alt.Chart(alt.Data(values=[{"sender": one, "host": other} for one in codes for other in codes]))
        .mark_rect(color=FAINT, opacity=0.35)
        .encode(x=base.encoding.x, y=base.encoding.y)
    )
    size = 23 * max(1, len(codes))
    return drawn(alt.layer(grid, cells, base.mark_text().encode(text="count:Q")).properties(width=size, height=size))


def durations(days: Mapping[str, int], bands: Mapping[str, int]) -> str:
    """Weeks of completed stays, and the pilot's four durations."""
    weeks = [{"first": first, "what": f"{first}-{min(first + 6, 62)}", "count": 0} for first in range(14, 63, 7)]
    for day, count in days.items():
        weeks[(int(day) - 14) // 7]["count"] += count
    most = max((week["count"] for week in weeks), default=0)
    bars = (
        alt.Chart(alt.Data(values=weeks))
        .mark_bar(color=BLUE)
        .encode(
            x=alt.X("what:N", sort=None, title="days", axis=alt.Axis(labelAngle=0, ticks=False)),
            y=alt.Y("count:Q", axis=None, scale=alt.Scale(domain=[0, max(1, most) * 1.15])),
        )
    )
    histogram = alt.layer(bars, bars.mark_text(dy=-8).encode(text="count:Q")).properties(
        width=WIDTH - 40, height=130, title="Days of stay"
    )
    by_band = [{"what": band, "count": count} for band, count in bands.items()]
    return drawn(
        alt.vconcat(
            histogram,
            _counted(by_band, ORANGE, max(bands.values()), "By the pilot's durations, to the nearest"),
            spacing=18,
        )
    )


def training(by_stage: Mapping[str, Mapping[str, int]]) -> str:
    """Who is trained."""
    parts = [
        _counted(
            [{"what": name, "count": by_stage[stage][code]} for code, name in names.TRAINING.items()],
            colour,
            most=max(by_stage["agreed"].values()),
            title=title,
        )
        for stage, title, colour in (("agreed", "Exchanges agreed", BLUE), ("completed", "Exchanges completed", ORANGE))
    ]
    return drawn(alt.vconcat(*parts, spacing=14))


LATENCY_MARKS = {
    "p50": Mark("●", BLUE, "half of all"),
    "p90": Mark("▲", GREEN, "90%"),
    "p99": Mark("■", ORANGE, "99%"),
    "max": Mark("◆", INK, "the slowest"),
}


def latencies(spreads: Mapping[str, Mapping[str, float | None]]) -> str:
    """Percentiles in milliseconds, on a logarithmic scale."""
    rows = [
        {"what": names.LATENCIES[name], "code": code, "ms": max(spread[code] or 0.0, 1.0)}
        for name, spread in spreads.items()
        for code in LATENCY_MARKS
        if spread[code] is not None
    ]
    labels, width = _labels(rows)
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("ms:Q", title="milliseconds", scale=alt.Scale(type="log"), axis=alt.Axis(format=",", tickCount=4)),
        y=alt.Y("what:N", sort=None, title=None, axis=labels),
    )
    spans = base.mark_line(color=FAINT, strokeWidth=3).encode(detail="what:N")
    points = [
        base.transform_filter(f"datum.code == '{code}'").mark_point(
            filled=True, opacity=1, size=110, shape=mark.shape, color=mark.colour
        )
        for code, mark in LATENCY_MARKS.items()
    ]
    return drawn(alt.layer(spans, *points).properties(width=width, height=46 * len(spreads)))
