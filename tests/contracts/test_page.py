"""The contract's page says what the document and the schemas say, stands on its own, and leads somewhere with every link."""

import json
import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
import yaml
from sojourn_contracts import page
from sojourn_contracts.catalogue import TABLE
from sojourn_contracts.schemas import published

from tests.conftest import REPOSITORY

CONTRACTS = REPOSITORY / "contracts"
TEXT = (CONTRACTS / "index.html").read_text()
ROOT = ElementTree.fromstring(TEXT.removeprefix("<!DOCTYPE html>\n"))
HTML, SVG = "{http://www.w3.org/1999/xhtml}", "{http://www.w3.org/2000/svg}"
ALL = pytest.mark.parametrize("topic", TABLE, ids=lambda topic: topic.name)


def section(code: str) -> Element:
    [found] = [each for each in ROOT.iter(f"{HTML}section") if each.get("id") == code]
    return found


def said(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def facts(of: Element) -> dict[str, str]:
    [listed] = of.findall(f"{HTML}dl")
    names, values = listed.findall(f"{HTML}dt"), listed.findall(f"{HTML}dd")
    return {said(name): said(value) for name, value in zip(names, values, strict=True)}


def tables(of: Element) -> dict[str, list[list[str]]]:
    """Rows by the caption of their table."""
    return {
        said(next(table.iter(f"{HTML}caption"))): [[said(cell) for cell in row] for row in table.iter(f"{HTML}tr")][1:]
        for table in of.iter(f"{HTML}table")
    }


def test_nothing_is_fetched_and_nothing_runs():
    fetching = {"script", "link", "img", "iframe", "object", "embed", "video", "audio", "source", "base", "form"}
    assert {element.tag.split("}")[1] for element in ROOT.iter()} & fetching == set()
    values = [(name, value) for element in ROOT.iter() for name, value in element.items()]
    assert [value for _, value in values if "://" in value] == []
    assert [name for name, _ in values if name.startswith("on") or name == "style"] == []
    [style] = [element.text or "" for element in ROOT.iter(f"{HTML}style")]
    assert "url(" not in style and "@import" not in style
    assert style == page.STYLE


def test_its_policy_allows_its_own_style_and_nothing_else():
    [policy] = [element.get("content", "") for element in ROOT.iter(f"{HTML}meta") if element.get("http-equiv")]
    assert policy == page.POLICY
    assert re.fullmatch(r"default-src 'none'; style-src 'sha256-[^']+'; base-uri 'none'; form-action 'none'", policy)


def test_every_link_leads_to_a_place_in_it_or_to_a_file_beside_it():
    ids = [element.get("id") for element in ROOT.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    links = [element.get("href", "") for element in ROOT.iter(f"{HTML}a")]
    assert len(links) > 100
    lost = [
        link
        for link in links
        if not (link.removeprefix("#") in ids if link.startswith("#") else (CONTRACTS / link).is_file())
    ]
    assert lost == []


@ALL
def test_an_event_has_a_section_with_what_the_catalogue_says(topic):
    told = facts(section(topic.name))
    assert told["Visibility"] == topic.visibility
    assert told["From"] == ", ".join(topic.producers)
    assert told["To"].startswith(", ".join(topic.consumers))
    assert told["Type"] == topic.event.type()
    assert topic.key in told["Key"]
    assert told["Partitions"] == str(topic.partitions)
    for name, value in topic.configuration.items():
        assert f"{name}={value}" in told["Settings"]
    assert told.get("Scope over HTTP", "") == ("" if topic.visibility == "internal" else f"events:{topic.name}")


@ALL
def test_every_version_of_an_event_is_linked_the_newest_first(topic):
    links = [element.get("href", "") for element in section(topic.name).iter(f"{HTML}a")]
    folder = f"./published/{topic.event.__name__}/"
    wanted = [f"{folder}{topic.event.major}.{minor}.json" for minor in range(topic.event.minor, -1, -1)]
    assert [link for link in links if link.startswith(folder)] == wanted


@ALL
def test_every_field_of_an_event_and_of_its_parts_is_told_with_what_it_says(topic):
    schema: dict[str, Any] = json.loads((CONTRACTS / published(topic.event)).read_text())
    told = tables(section(topic.name))
    parts = {name: part for name, part in schema.get("$defs", {}).items() if "properties" in part}
    assert set(told) == {f"Fields of {name}" for name in (topic.event.__name__, *parts)}
    for name, part in {topic.event.__name__: schema, **parts}.items():
        rows = {row[0]: row[1:] for row in told[f"Fields of {name}"]}
        assert list(rows) == list(part["properties"])
        for field, about in part["properties"].items():
            assert rows[field][0].endswith(", optional") is (field not in part.get("required", []))
            plain = " ".join(about.get("description", "").replace("`", "").split())
            assert plain in rows[field][1]


@ALL
def test_an_events_example_is_shown_as_it_stands_on_its_topic(topic):
    example = json.loads((CONTRACTS / "examples" / f"{topic.event.__name__}.json").read_text())
    [shown] = [element.text or "" for element in section(topic.name).iter(f"{HTML}pre")]
    headers, _, value = shown.partition("\n\n")
    assert json.loads(value) == example["value"]
    assert headers.splitlines() == [f"{name}: {text}" for name, text in example["headers"].items()]


def test_no_markdown_is_left_over():
    """A text that uses more of it than the page knows would show here."""
    for element in ROOT.iter():
        if element.tag in (f"{HTML}p", f"{HTML}li", f"{HTML}dd", f"{HTML}td"):
            prose = " ".join([element.text or "", *(child.tail or "" for child in element)])
            assert not re.search(r"`|\*\*|^#|^\s*-\s|\]\(|\|", prose), prose


def test_prose_is_paragraphs_headings_lists_code_and_what_is_strong():
    assert page.prose("One `a<b`\nline.\n\n## Two\n\n- **x**: y\n  z\n- w") == (
        "<p>One <code>a&lt;b</code> line.</p>\n<h3>Two</h3>\n<ul>\n<li><strong>x</strong>: y z</li>\n<li>w</li>\n</ul>\n"
    )


def test_who_reads_with_a_screen_reader_or_keys_is_told_what_is_where():
    assert ROOT.get("lang") == "en"
    levels = [int(element.tag[-1]) for element in ROOT.iter() if re.fullmatch(rf"{re.escape(HTML)}h\d", element.tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    for table in ROOT.iter(f"{HTML}table"):
        assert table.find(f"{HTML}caption") is not None
        assert {head.get("scope") for head in table.iter(f"{HTML}th")} == {"col", "row"}
    [skip] = [element for element in ROOT.iter(f"{HTML}a") if element.get("class") == "skip"]
    assert skip.get("href") == "#contract" and next(ROOT.iter(f"{HTML}main")).get("id") == "contract"
    [drawing] = ROOT.iter(f"{SVG}svg")
    assert drawing.get("role") == "img" and drawing.find(f"{SVG}title") is not None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_and_links_stand_out_from_their_ground(scheme):
    """By a ratio of 4.5, as WCAG 2.2 asks for."""
    colours = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", line)) for line in page.STYLE.splitlines() if "--ink:" in line
    ]
    of = colours[("light", "dark").index(scheme)]
    for ground in ("page", "card"):
        for text in ("ink", "soft", "link"):
            assert contrast(of[text], of[ground]) >= 4.5


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_document_makes_the_page_and_marks_what_it_says_is_planned():
    document = yaml.safe_load((CONTRACTS / "asyncapi.yaml").read_text())
    paths = [published(topic.event) for topic in TABLE]
    schemas = {f"./{path}": json.loads((CONTRACTS / path).read_text()) for path in paths}
    assert page.page(document, schemas) == TEXT
    assert "(planned)" not in TEXT
    document["channels"]["MatchProposed"]["x-planned"] = True
    assert page.page(document, schemas).count("(planned)") == 2
