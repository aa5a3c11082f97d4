"""The drawing of who sends and who reads what has a line for each of the catalogue's flows, and no other."""

from xml.etree import ElementTree

import pytest
import yaml
from sojourn_contracts import flow
from sojourn_contracts.catalogue import TABLE, Visibility

from tests.conftest import REPOSITORY
from tests.contracts.test_page import contrast

DOCUMENT = yaml.safe_load((REPOSITORY / "contracts" / "asyncapi.yaml").read_text())
TEXT = (REPOSITORY / "docs" / "subscribers" / "flow.svg").read_text()
ROOT = ElementTree.fromstring(TEXT)
SVG = "{http://www.w3.org/2000/svg}"
OUTSIDE = {Visibility.PUBLIC: ["subscribers"], Visibility.ANALYSTS: ["analysts, by a grant"], Visibility.INTERNAL: []}
SENT = {(service, topic.name) for topic in TABLE for service in topic.producers}
READ = {(topic.name, reader) for topic in TABLE for reader in (*topic.consumers, *OUTSIDE[topic.visibility])}


def drawn() -> set[tuple[str, str]]:
    """Names of the boxes that each line joins, by where it begins and ends."""
    boxes: dict[tuple[float, float], str] = {}
    for rectangle, text in zip(ROOT.findall(f"{SVG}rect")[1:], ROOT.findall(f"{SVG}text")[3:], strict=True):
        x, y, wide, high = (float(rectangle.get(name, "")) for name in ("x", "y", "width", "height"))
        for side in (x, x + wide):
            boxes[side, round(y + high / 2, 1)] = text.text or ""
    joined = set[tuple[str, str]]()
    for line in ROOT.findall(f"{SVG}path"):
        numbers = [float(number) for number in line.get("d", "").replace("M", "").replace("C", "").split()]
        ends = (numbers[0], round(numbers[1], 1)), (numbers[-2], round(numbers[-1], 1))
        joined.add((boxes[ends[0]], boxes[ends[1]]))
    return joined


def test_each_flow_of_the_catalogue_is_one_line_from_who_sends_to_the_topic_or_from_there_to_who_reads():
    assert drawn() == SENT | READ
    assert len(ROOT.findall(f"{SVG}path")) == len(SENT) + len(READ)


def test_a_flow_that_is_taken_out_of_the_document_is_not_drawn():
    operations = {name: told for name, told in DOCUMENT["operations"].items() if name != "surveyReceivesMatchProposed"}
    sent, received = flow.flows({**DOCUMENT, "operations": operations})
    assert (set(sent), READ - set(received)) == (SENT, {("MatchProposed", "survey")})


def test_internal_topics_are_dashed_and_others_are_not():
    dashed = [rectangle.get("y") for rectangle in ROOT.findall(f"{SVG}rect") if rectangle.get("stroke-dasharray")]
    assert len(dashed) == len([topic for topic in TABLE if topic.visibility is Visibility.INTERNAL])


def test_the_drawing_says_in_words_what_it_shows():
    told = ROOT.findtext(f"{SVG}desc") or ""
    for topic in TABLE:
        readers = ", ".join((*topic.consumers, *OUTSIDE[topic.visibility]))
        assert f"{topic.name}: from {', '.join(topic.producers)} to {readers}." in told


@pytest.mark.parametrize("colour", flow.COLOURS)
def test_a_name_stands_out_from_the_drawings_ground(colour):
    assert contrast(colour, "#ffffff") >= 4.5


def test_the_pages_drawing_is_the_same():
    assert TEXT in (REPOSITORY / "contracts" / "index.html").read_text()
