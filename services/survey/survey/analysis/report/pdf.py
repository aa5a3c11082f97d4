"""The document as PDF: tagged (PDF/UA-1), in its language, its charts with their texts.

For the same document always the same bytes. The fonts come with the library, and what is used of them is embedded; the
machine's own are not looked at.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import typst

from survey.page.content import Document

_TEMPLATE = str(Path(__file__).with_name("report.typ"))


def pdf(document: Document, charts: Mapping[str, str]) -> bytes:
    """``charts``: SVG by the exhibit's code.

    Raises:
        typst.TypstError: the document cannot be set so that it is accessible.
    """
    exhibits = [
        {
            **asdict(exhibit),
            "drawing": charts.get(exhibit.code),
            "alternative": " ".join((exhibit.title + ".", *exhibit.says)),
        }
        for exhibit in document.exhibits
    ]
    inputs = {"document": json.dumps({**asdict(document), "exhibits": exhibits})}
    return typst.compile(_TEMPLATE, format="pdf", ignore_system_fonts=True, sys_inputs=inputs, pdf_standards="ua-1")
