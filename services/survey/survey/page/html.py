"""A document as one HTML page that needs nothing else: its style stands in it, fonts are the reader's, and nothing is fetched.

It is well-formed XML as well, so whatever reads either reads it. Its policy stands in it and allows that style and, on the
live page, that script, by their hashes; a page that was stored keeps the policy that it was made with.
"""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

from survey.page.content import Document, Exhibit
from survey.page.words import Words

STYLE = (Path(__file__).parent / "page.css").read_text("utf-8")


@dataclass(frozen=True)
class Script:
    """What keeps a page up to date; without it, or once it has ended, the page shows what it was loaded with."""

    text: str
    ended: str
    """What people are told when it has."""


def page(document: Document, charts: Mapping[str, str], script: Script | None = None) -> str:
    """The whole page. ``charts``: SVG by the exhibit's code. ``script`` is the only one that the page's policy lets run."""
    return (
        _head(document.language, document.title, policy(script.text if script else ""))
        + f"<header>\n<h1>{escape(document.title)}</h1>\n"
        + f'<div class="lead">{_paragraphs(document.lead)}</div>\n'
        + (f'<p id="ended" role="status" hidden="hidden">{escape(script.ended)}</p>\n' if script else "")
        + "</header>\n<main>\n"
        + "".join(_section(exhibit, charts.get(exhibit.code), document.numbers) for exhibit in document.exhibits)
        + f"</main>\n<footer>\n<h2>{escape(document.methods_title)}</h2>\n{_paragraphs(document.methods)}</footer>\n"
        + (f"<script>{script.text}</script>\n" if script else "")
        + "</body>\n</html>\n"
    )


def form(words: Words) -> str:
    """Where a browser is given the token that it shows from then on."""
    title = words["sign_in.title"]
    return (
        _head(words.language, title, policy(posts="'self'"))
        + f"<header>\n<h1>{escape(title)}</h1>\n</header>\n<main>\n"
        f'<form method="post" action="sign-in?language={words.language}">\n'
        f'<p><label for="token">{escape(words["sign_in.token"])}</label></p>\n'
        '<p><input id="token" name="token" type="password" required="required" autocomplete="off" size="60"/></p>\n'
        f'<p><button type="submit">{escape(words["sign_in.button"])}</button></p>\n</form>\n</main>\n</body>\n</html>\n'
    )


def headers(said: str) -> dict[str, str]:
    """Of an answer with a page of this policy: the same, and what a page cannot say of itself."""
    return {
        "Content-Security-Policy": f"{said}; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept-Language",
    }


def policy(script: str = "", posts: str = "'none'") -> str:
    """What the page may do: show itself; with a script, run that one and ask the server it came from."""
    allowed = f" script-src {hash_of(script)}; connect-src 'self';" if script else ""
    return (
        f"default-src 'none'; style-src {hash_of(STYLE)}; img-src data:;{allowed} base-uri 'none'; form-action {posts}"
    )


STORED = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""Policy for a page that was made by another version of this code; what stands in the page is stricter, and both count."""


def _head(language: str, title: str, said: str) -> str:
    return (
        f'<!DOCTYPE html>\n<html xmlns="http://www.w3.org/1999/xhtml" lang="{language}">\n<head>\n<meta charset="utf-8"/>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(said)}"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f"<title>{escape(title)}</title>\n"
        f'<link rel="icon" href="data:,"/>\n<style>{STYLE}</style>\n</head>\n<body>\n'
    )


def hash_of(text: str) -> str:
    """As a policy names a style or a script."""
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
