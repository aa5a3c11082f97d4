"""A document as one HTML page that needs nothing else: its style stands in it, fonts are the reader's, and nothing is fetched.

It is well-formed XML as well, so whatever reads either reads it. Its policy stands in it and allows that style and, on the
live page, that script, by their hashes; a page that was stored keeps the policy that it was made with.
"""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from html import escape

from survey.page.content import Document, Exhibit

SERVED = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""Headers of a page without a script; what the page itself says of its style is stricter, and both count."""

STYLE = """
:root { --page: #f6f6f3; --card: #ffffff; --ink: #1b1b1b; --soft: #4f4f4f; --line: #d0d0d0 }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif }
header, main, footer { max-width: 860px; margin: 0 auto; padding: 0 16px }
header { padding-top: 28px }
h1 { font-size: 1.9rem; line-height: 1.15; margin: 0 0 6px }
h2 { font-size: 1.25rem; margin: 0 0 4px }
p { margin: 0 0 8px }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 16px; margin: 18px 0; min-width: 0 }
figure { margin: 10px 0 }
.chart { overflow-x: auto }
.chart svg { display: block; width: 100%; height: auto }
.note, footer, .lead { color: var(--soft) }
.note { font-size: .85rem; line-height: 1.4 }
.scroll { overflow-x: auto; font-size: .88rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
caption { text-align: left; color: var(--soft); padding: 4px 0 }
th, td { text-align: right; padding: 3px 10px 3px 0; border-bottom: 1px solid var(--line); vertical-align: top }
th:first-child { text-align: left }
tbody th { font-weight: normal }
footer { font-size: .85rem; margin-bottom: 40px }
footer h2 { font-size: 1rem }
code { overflow-wrap: anywhere }
@media print {
  :root { --page: #ffffff }
  html { font-size: 9.5pt }
  section { border: 0; padding: 0 }
  figure, tr { break-inside: avoid }
  h2 { break-after: avoid }
  .chart svg { max-width: 16cm }
}
"""


def page(document: Document, charts: Mapping[str, str], script: str = "") -> str:
    """The whole page. ``charts``: SVG by the exhibit's code. ``script`` is the only one that the page's policy lets run."""
    return (
        f'<!DOCTYPE html>\n<html xmlns="http://www.w3.org/1999/xhtml" lang="{document.language}">\n<head>\n<meta charset="utf-8"/>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy(script))}"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f"<title>{escape(document.title)}</title>\n"
        f'<link rel="icon" href="data:,"/>\n<style>{STYLE}</style>\n</head>\n<body>\n'
        f"<header>\n<h1>{escape(document.title)}</h1>\n{_paragraphs(document.lead, 'lead')}</header>\n<main>\n"
        + "".join(_section(exhibit, charts.get(exhibit.code), document.numbers) for exhibit in document.exhibits)
        + f"</main>\n<footer>\n<h2>{escape(document.methods_title)}</h2>\n{_paragraphs(document.methods)}</footer>\n"
        + (f"<script>{script}</script>\n" if script else "")
        + "</body>\n</html>\n"
    )


def policy(script: str = "") -> str:
    """What the page may do: show itself; with a script, run that one and ask the server it came from."""
    allowed = f" script-src {_hash(script)}; connect-src 'self';" if script else ""
    return f"default-src 'none'; style-src {_hash(STYLE)}; img-src data:;{allowed} base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _section(exhibit: Exhibit, chart: str | None, numbers: str) -> str:
    return (
        f'<section id="{exhibit.code}">\n<h2>{escape(exhibit.title)}</h2>\n{_paragraphs(exhibit.says)}'
        + (f'<figure><div class="chart">{chart}</div></figure>\n' if chart else "")
        + (_table(exhibit, numbers) if exhibit.rows else "")
        + f"{_paragraphs(exhibit.notes, 'note')}</section>\n"
    )


def _table(exhibit: Exhibit, numbers: str) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in exhibit.columns)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(value)}</td>" for value in rest)}</tr>\n'
        for first, *rest in exhibit.rows
    )
    return (
        f'<div class="scroll"><table>\n<caption>{escape(numbers)}: {escape(exhibit.title)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n"
    )


def _paragraphs(texts: tuple[str, ...], kind: str = "") -> str:
    opening = f'<p class="{kind}">' if kind else "<p>"
    return "".join(f"{opening}{escape(text)}</p>\n" for text in texts)
