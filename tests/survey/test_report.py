"""The report: every chart has its text alternative and its table, in four languages, with nothing that comes from outside."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pypdf
import pytest
from survey.analysis.report import charts
from survey.analysis.report.report import Format, drawn, report, set_as
from survey.command import command
from survey.evaluation.counting import counts
from survey.evaluation.evaluate import evaluate
from survey.evaluation.figures import CellFigure, Figures, ProgrammeFigures, encoded, plain
from survey.page.exhibits import document
from survey.page.words import words
from survey.questionnaires.published import newest
from survey.questionnaires.questionnaire import LANGUAGES
from typer.testing import CliRunner

from tests.survey.figures import FIGURES, PROVENANCE

X = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"
MADE: dict[tuple[str, Format], bytes] = {}


def made(language: str, form: Format) -> bytes:
    """Drawing takes seconds, so once for all tests."""
    if (language, form) not in MADE:
        told = document(FIGURES, newest(), words(language), PROVENANCE)
        charts_drawn = drawn(told)
        MADE.update({(language, each): set_as(each, told, charts_drawn) for each in ("html", "pdf")})
    return MADE[language, form]


def page(language: str) -> ElementTree.Element:
    return ElementTree.fromstring(made(language, "html"))


def numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+(?:[.,\u202f\u00a0]\d+)?", text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_chart_has_a_title_a_description_and_a_table_with_its_numbers(language: str):
    sections = page(language).findall(f".//{X}section")
    charted = [section for section in sections if section.find(f".//{SVG}svg") is not None]
    assert len(charted) >= 9
    for section in charted:
        svg, table = section.find(f".//{SVG}svg"), section.find(f".//{X}table")
        assert svg is not None and table is not None and svg.get("role") == "img"
        title, desc = svg[0], svg[1]
        assert (title.tag, desc.tag) == (f"{SVG}title", f"{SVG}desc") and title.text and desc.text
        assert svg.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"
        shown = numbers(" ".join(text for each in svg.iter(f"{SVG}text") for text in each.itertext()))
        axis = (
            {"0", "25", "50", "75", "100", "95", "2017"} if section.get("id", "").startswith(("ind", "cha")) else set()
        )
        told = numbers(" ".join(text for each in table for text in each.itertext()))
        assert shown - axis <= told, section.get("id")
        assert shown - axis or "by" in section.get("id", "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_has_no_duplicate_ids_and_each_chart_stands_over_its_table(language: str):
    ids = [element.get("id") for element in page(language).iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    for section in page(language).findall(f".//{X}section"):
        kinds = [child.tag.removeprefix(X) for child in section]
        assert "figure" not in kinds or kinds.index("figure") < kinds.index("div")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_reads_as_html_and_asks_for_nothing(language: str):
    text = made(language, "html").decode()
    for _, tag, attributes in _Tags.of(text):
        assert tag not in ("script", "iframe", "img", "object", "embed", "form", "base"), tag
        for name, value in attributes:
            assert not name.startswith("on") and name not in ("src", "style", "action"), name
            assert name != "href" or value == "data:,"
            assert not re.match("url\\((?!#)", value or "") and "@import" not in (value or "")
    addresses = set(re.findall(r"https?://[^\"' <]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml", "http://www.w3.org/1999/xlink"}
    assert "url(" not in text and "@import" not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_and_the_pdf_say_which_snapshot_and_which_code(language: str):
    for told in (made(language, "html").decode(), pdf_text(language)):
        assert PROVENANCE.snapshot in told and PROVENANCE.code in told


def test_every_language_has_the_same_texts_with_the_same_places_to_fill():
    english = words("en").texts
    for language in LANGUAGES:
        texts = words(language).texts
        assert texts.keys() == english.keys()
        for section, entries in english.items():
            if section == "locale":
                continue
            assert texts[section].keys() == entries.keys(), (language, section)
            for key, text in entries.items():
                assert texts[section][key].strip(), (language, section, key)
                assert set(re.findall(r"{\w*}", texts[section][key])) == set(re.findall(r"{\w*}", text)), (
                    language,
                    key,
                )


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_place_is_left_unfilled_and_no_code_stands_for_a_word(language: str):
    for text in (re.sub(r"<style>.*?</style>", "", made(language, "html").decode(), flags=re.S), pdf_text(language)):
        assert not re.search(r"\{\w*\}", text)
        for code in ("SEND_MATCH", "size_class", "host_staff", "sector_section", "None"):
            assert code not in text


def test_languages_differ():
    titles = {page(language).findtext(f".//{X}h1") for language in LANGUAGES}
    assert len(titles) == len(LANGUAGES)


HIDDEN = 77_317
"""No other figure has it."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_hidden_cell_is_said_to_be_suppressed_and_has_no_number_anywhere(language: str):
    """The neighbours are shown, the cell itself is not: neither its place in the chart nor its row says a number."""
    told = document(FIGURES, newest(), words(language), PROVENANCE)
    by_size = next(exhibit for exhibit in told.exhibits if exhibit.code == "by-size-class-1")
    small = by_size.rows[1]
    assert small[1:] == (words(language)["page.suppressed"],) * 4
    chart = ElementTree.fromstring(charts.drawn(by_size) or "")
    shown = [text.text for text in chart.iter(f"{SVG}text") if text.text and "n =" in text.text]
    hidden = [cell for cell in FIGURES.cells if cell.dimension == "size_class" and cell.hidden]
    assert len(shown) == len([cell for cell in FIGURES.cells if cell.dimension == "size_class"]) - len(hidden)
    section = next(each for each in page(language).findall(f".//{X}section") if each.get("id") == "by-size-class-1")
    row = section.findall(f".//{X}tbody/{X}tr")[1]
    assert not numbers(" ".join(row.itertext()))


@pytest.mark.parametrize("form", ["html", "pdf"])
def test_of_a_hidden_cell_nothing_is_told_even_if_some_field_is_left_in_it(form: Format):
    """``valid`` alone says whether a cell is hidden; were another number left beside it, no page may carry it out."""
    left = CellFigure(1, "XBORDER", "size_class", "micro", None, HIDDEN, 0.77317, 0.77317, 0.77317)
    figures = replace(FIGURES, cells=(left,))
    figures = replace(figures, indicators=(), changes=(), programme=None)
    for language in LANGUAGES:
        data = report(figures, newest(), PROVENANCE, language, form)
        text = data.decode() if form == "html" else " ".join(extracted(data))
        assert not re.search(r"77.?317|77.?%", text)
        assert words(language)["page.suppressed"] in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pdf_is_tagged_in_its_language_with_embedded_fonts_and_texts_for_its_charts(language: str, tmp_path):
    (tmp_path / "report.pdf").write_bytes(made(language, "pdf"))
    read = pypdf.PdfReader(tmp_path / "report.pdf")
    root = read.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"] and root["/Lang"] == language
    assert b"pdfuaid:part" in root["/Metadata"].get_data()
    for sheet in read.pages:
        for font in sheet["/Resources"].get("/Font", {}).values():
            described = font.get_object()
            inner = described["/DescendantFonts"][0].get_object() if "/DescendantFonts" in described else described
            assert any(key.startswith("/FontFile") for key in inner["/FontDescriptor"])
    alternatives = list(_alternatives(root["/StructTreeRoot"]))
    told = document(FIGURES, newest(), words(language), PROVENANCE)
    for exhibit in told.exhibits:
        if exhibit.drawing is not None:
            assert any(each.startswith(exhibit.title) and exhibit.says[-1] in each for each in alternatives)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pdf_has_the_same_table_cells_as_the_page(language: str):
    text = re.sub(r"\s|\u00ad|-\n", "", pdf_text(language))
    for exhibit in document(FIGURES, newest(), words(language), PROVENANCE).exhibits:
        for row in exhibit.rows:
            for value in row[1:]:
                assert re.sub(r"\s", "", value) in text, (exhibit.code, value)


@pytest.mark.parametrize("form", ["html", "pdf"])
def test_the_same_figures_give_the_same_bytes(form: Format):
    assert report(FIGURES, newest(), PROVENANCE, "it", form) == made("it", form)


@pytest.mark.parametrize("form", ["html", "pdf"])
def test_a_report_without_any_answer_or_exchange_can_be_made(form: Format):
    nothing = ProgrammeFigures(responses=(), funnel=(), left=0, ends=(), scarcity=(), flows=())
    for programme in (None, nothing):
        empty = Figures(newest().version, 0, (), (), (), programme)
        assert report(empty, newest(), PROVENANCE, "de", form)


@pytest.mark.parametrize("form", ["html", "pdf"])
def test_a_report_of_the_first_day_can_be_made_when_nobody_has_answered_and_nobody_was_matched(form: Format):
    assert report(evaluate(counts({}, newest().version), newest()), newest(), PROVENANCE, "it", form)


def test_what_is_told_is_escaped():
    """A code that nobody knows stands for itself, whatever it is made of."""
    strange = replace(FIGURES.cells[0], dimension="size_class", category="<b>&\"'", wave=7)
    figures = replace(FIGURES, cells=(strange,), indicators=(), changes=(), programme=None)
    root = ElementTree.fromstring(report(figures, newest(), PROVENANCE, "en", "html"))
    assert "<b>&\"'" in [cell.text for cell in root.findall(f".//{X}tbody/{X}tr/{X}th")]
    assert root.find(f".//{X}b") is None


def command_line(*arguments: str) -> Any:
    return CliRunner().invoke(command, ["report", *arguments])


def test_the_command_makes_a_report_of_published_figures_that_names_their_snapshot(tmp_path: Path):
    said = {"snapshot_id": PROVENANCE.snapshot, "code_version": PROVENANCE.code, "figures": plain(FIGURES)}
    (tmp_path / "figures.json").write_text(json.dumps(said))
    told = command_line(
        "--figures",
        str(tmp_path / "figures.json"),
        "--language",
        "it",
        "--format",
        "html",
        "--out",
        str(tmp_path / "a"),
    )
    assert told.exit_code == 0, told.output
    assert (tmp_path / "a").read_bytes() == made("it", "html")


def test_the_command_takes_bare_figures_and_then_names_no_snapshot(tmp_path: Path):
    bare = replace(FIGURES, indicators=(), changes=(), cells=(), programme=None)
    (tmp_path / "figures.json").write_bytes(encoded(bare))
    told = command_line("--figures", str(tmp_path / "figures.json"), "--format", "html", "--out", str(tmp_path / "a"))
    assert told.exit_code == 0, told.output
    assert "--snapshot" not in (tmp_path / "a").read_text()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"figures": 3}', '{"figures": {}, "snapshot_id": "1"}'])
def test_the_command_says_that_a_file_has_no_figures(tmp_path: Path, content: str):
    (tmp_path / "figures.json").write_text(content)
    told = command_line("--figures", str(tmp_path / "figures.json"), "--format", "pdf", "--out", str(tmp_path / "a"))
    assert told.exit_code == 1 and "has no figures" in told.stderr
    assert not (tmp_path / "a").exists()


def test_the_command_says_that_a_file_cannot_be_read_or_its_questionnaire_is_unknown(tmp_path: Path):
    away = command_line("--figures", str(tmp_path / "away"), "--format", "pdf", "--out", str(tmp_path / "a"))
    assert away.exit_code == 1 and "cannot be read" in away.stderr
    (tmp_path / "figures.json").write_bytes(encoded(replace(FIGURES, questionnaire="1999.1")))
    unknown = command_line("--figures", str(tmp_path / "figures.json"), "--format", "pdf", "--out", str(tmp_path / "a"))
    assert unknown.exit_code == 1 and "1999.1" in unknown.stderr


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, list[tuple[str, str | None]]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(("start", tag, attrs))

    @classmethod
    def of(cls, text: str) -> list[tuple[str, str, list[tuple[str, str | None]]]]:
        parser = cls()
        parser.feed(text)
        return parser.found


def extracted(data: bytes) -> list[str]:
    return [sheet.extract_text() for sheet in pypdf.PdfReader(BytesIO(data)).pages]


def pdf_text(language: str) -> str:
    return "\n".join(extracted(made(language, "pdf")))


def _alternatives(element):
    element = element.get_object() if hasattr(element, "get_object") else element
    if not isinstance(element, dict):
        return
    if "/Alt" in element:
        yield str(element["/Alt"])
    kids = element.get("/K", [])
    kids = kids.get_object() if hasattr(kids, "get_object") else kids
    for kid in kids if isinstance(kids, list) else [kids]:
        yield from _alternatives(kid)
