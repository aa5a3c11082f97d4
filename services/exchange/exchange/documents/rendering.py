"""Sets a document as PDF: tagged (PDF/UA-1), in its language, and for the same document always the same bytes.

The fonts come with the library and have the Latin, Greek and Cyrillic letters of all European languages; the machine's own
are not looked at. A text with a character that none of them has is set all the same, with an empty box in its place and
without the claim to be PDF/UA.
"""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import typst

_TEMPLATE = str(Path(__file__).with_name("document.typ"))
_AT_ONCE = ThreadPoolExecutor(max_workers=2, thread_name_prefix="pdf")
"""Setting a document takes about a tenth of a second of one core; those that come together wait for each other."""


@dataclass(frozen=True)
class Heading:
    text: str
    kind: Literal["heading"] = "heading"


@dataclass(frozen=True)
class Paragraph:
    text: str
    kind: Literal["paragraph"] = "paragraph"


@dataclass(frozen=True)
class Points:
    texts: tuple[str, ...]
    kind: Literal["points"] = "points"


@dataclass(frozen=True)
class Rows:
    """Labels with their values."""

    rows: tuple[tuple[str, str], ...]
    kind: Literal["rows"] = "rows"


@dataclass(frozen=True)
class Table:
    columns: tuple[int, ...]
    """What share of the width each has."""
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    kind: Literal["table"] = "table"


@dataclass(frozen=True)
class Code:
    """What is compared letter by letter."""

    text: str
    kind: Literal["code"] = "code"


Block = Heading | Paragraph | Points | Rows | Table | Code


@dataclass(frozen=True)
class Document:
    title: str
    language: str
    """ISO 639-1."""
    day: date
    """When its content came to be; it is told as the day on which the file was made."""
    footer: str
    page_number: str
    """With ``{page}`` and ``{pages}`` for the numbers."""
    blocks: tuple[Block, ...]


async def pdf(document: Document) -> bytes:
    """Set in a thread, which leaves the interpreter to others meanwhile."""
    return await asyncio.get_running_loop().run_in_executor(_AT_ONCE, set_as_pdf, document)


def set_as_pdf(document: Document) -> bytes:
    inputs = {"document": json.dumps(asdict(document), default=_plain)}
    try:
        return _compiled(inputs, "ua-1")
    except typst.TypstError:
        return _compiled(inputs, None)


def _compiled(inputs: dict[str, str], standard: Literal["ua-1"] | None) -> bytes:
    return typst.compile(_TEMPLATE, format="pdf", ignore_system_fonts=True, sys_inputs=inputs, pdf_standards=standard)


def _plain(day: date) -> tuple[int, int, int]:
    return day.year, day.month, day.day
