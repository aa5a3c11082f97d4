"""Small drawings for the live page, written as they are: what serves has no library that draws.

What tells marks apart is their shape and place, as in the report; numbers stand beside what they are of.
"""

from html import escape

from survey.page.content import Bars, Dots, Exhibit

WIDTH, LABEL, ROOM, ROW = 860, 390, 260, 40
"""In pixels: of all, of the labels, of what is drawn beside them, and a row's height."""
INK, SOFT, FAINT, BLUE, GREEN, ORANGE, SKY = "#1b1b1b", "#4f4f4f", "#d0d0d0", "#0072b2", "#009e73", "#d55e00", "#56b4e9"


def drawn(exhibit: Exhibit) -> str | None:
    """SVG with its text alternative, or nothing where there is only a table."""
    match exhibit.drawing:
        case Dots():
            marks, height = _dots(exhibit.drawing)
        case Bars():
            marks, height = _bars(exhibit.drawing)
        case _:
            return None
    title, desc = (f"chart-{exhibit.code}-{part}" for part in ("title", "desc"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img"'
        f' aria-labelledby="{title} {desc}" font-family="Helvetica, Arial, sans-serif" font-size="13" fill="{INK}">'
        f'<title id="{title}">{escape(exhibit.title)}</title><desc id="{desc}">{escape(" ".join(exhibit.says))}</desc>'
        f"{''.join(marks)}</svg>"
    )


def _dots(drawing: Dots) -> tuple[list[str], int]:
    marks: list[str] = []
    below = len(drawing.rows) * ROW
    for quarter in range(5):
        x = _at(quarter / 4)
        marks.append(f'<line x1="{x}" x2="{x}" y1="0" y2="{below}" stroke="{FAINT}"/>')
        marks.append(_text(x, below + 16, f"{quarter * 25} %", "middle"))
    for place, row in enumerate(drawing.rows):
        middle = place * ROW + ROW // 2
        marks.append(_text(LABEL - 10, middle + 4, row.label, "end"))
        marks.append(_text(LABEL + ROOM + 20, middle + 4, row.told, "start"))
        if row.pilot is not None:
            marks.append(_diamond(_at(row.pilot), middle))
        if row.share is not None and row.wilson is not None:
            marks.append(_line(row.wilson.low, row.wilson.high, middle - 11, f'stroke="{BLUE}" stroke-width="3"'))
            marks.append(f'<circle cx="{_at(row.share)}" cy="{middle - 11}" r="5" fill="{BLUE}"/>')
        if row.share is not None and row.clustered is not None:
            dashed = f'stroke="{GREEN}" stroke-width="2" stroke-dasharray="5,3"'
            marks.append(_line(row.clustered.low, row.clustered.high, middle + 11, dashed))
            marks.append(_square(_at(row.share), middle + 11))
    legend = (
        (f'<circle cx="{LABEL + 6}" cy="{below + 34}" r="5" fill="{BLUE}"/>', drawing.share),
        (_diamond(LABEL + 6, below + 54), drawing.pilot),
        (_square(LABEL + 6, below + 74), drawing.clustered),
    )
    for place, (symbol, says) in enumerate(legend):
        marks += [symbol, _text(LABEL + 18, below + 38 + 20 * place, says, "start")]
    return marks, below + 88


def _bars(drawing: Bars) -> tuple[list[str], int]:
    marks: list[str] = []
    y = 0
    for group in drawing.groups:
        if group.name:
            marks.append(f'<g font-weight="bold">{_text(LABEL, y + 16, group.name, "start")}</g>')
            y += 24
        for bar in group.bars:
            filled, outline = (round(ROOM * part / max(1, group.most)) for part in (bar.value, bar.whole or 0))
            marks.append(_text(LABEL - 10, y + 15, bar.label, "end"))
            marks.append(f'<rect x="{LABEL}" y="{y + 2}" width="{filled}" height="17" fill="{SKY}" stroke="{BLUE}"/>')
            if outline:
                marks.append(
                    f'<rect x="{LABEL}" y="{y + 2}" width="{outline}" height="17" fill="none" stroke="{INK}" stroke-width="1.5"/>'
                )
            marks.append(_text(LABEL + max(filled, outline) + 8, y + 15, bar.told, "start"))
            y += 25
        y += 8
    return marks, y


def _at(share: float) -> int:
    return LABEL + 6 + round((ROOM - 12) * share)


def _text(x: int, y: int, text: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(low: float, high: float, y: int, drawn_as: str) -> str:
    return f'<line x1="{_at(low)}" x2="{_at(high)}" y1="{y}" y2="{y}" {drawn_as}/>'


def _square(x: int, y: int) -> str:
    return f'<rect x="{x - 5}" y="{y - 5}" width="10" height="10" fill="{GREEN}"/>'


def _diamond(x: int, y: int) -> str:
    return f'<path d="M{x},{y - 6}l6,6l-6,6l-6,-6z" fill="{ORANGE}"/>'
