"""The evaluation as a report: one document in one language, as a page or as a PDF."""

from collections.abc import Mapping
from typing import Literal

from survey.analysis.report import charts, pdf
from survey.evaluation.figures import Figures, decoded_figures
from survey.evaluation.store import Publication
from survey.page import html
from survey.page.content import Document
from survey.page.exhibits import Provenance, document
from survey.page.words import words
from survey.questionnaires.questionnaire import LANGUAGES, Questionnaire

Format = Literal["html", "pdf"]


def report(
    figures: Figures, questionnaire: Questionnaire, provenance: Provenance | None, language: str, form: Format
) -> bytes:
    """The same figures give the same bytes, under one version of the libraries that draw and set.

    Raises:
        KeyError: the language is none of the questionnaires'.
    """
    told = document(figures, questionnaire, words(language), provenance)
    return set_as(form, told, drawn(told))


def drawn(told: Document) -> dict[str, str]:
    """The charts of a document by their exhibits' codes."""
    return {exhibit.code: chart for exhibit in told.exhibits if (chart := charts.drawn(exhibit)) is not None}


def set_as(form: Format, told: Document, charts_drawn: Mapping[str, str]) -> bytes:
    return html.page(told, charts_drawn).encode() if form == "html" else pdf.pdf(told, charts_drawn)


def pages(publication: Publication, questionnaire: Questionnaire) -> dict[str, str]:
    """What was published, as a page in each language."""
    figures = decoded_figures(publication.figures)
    provenance = Provenance(publication.snapshot_id, publication.code_version)
    return {language: report(figures, questionnaire, provenance, language, "html").decode() for language in LANGUAGES}
