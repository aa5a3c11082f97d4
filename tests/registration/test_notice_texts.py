"""What the mails say: every template in every language, with nothing missing, untranslated or unescaped."""

import re
import tomllib
from html.parser import HTMLParser
from typing import Any

import pytest
from jinja2 import UndefinedError
from registration.notices.domain import TEMPLATES
from registration.notices.rendering import PLACES, Rendered, place, render
from registration.notices.rendering import TEMPLATES as FOLDER
from registration.people.domain import Reads
from sojourn_contracts.taxonomy import Concept, Taxonomy, starter

URL = "https://sojourn.example/somewhere"
TAXONOMY = Taxonomy(
    title="Test",
    version="1",
    attribution="",
    languages=("en", "de"),
    skills={
        "welding": Concept("welding", {"en": "Weld metals", "de": "Metalle schweißen"}, {}),
        "baking": Concept("baking", {"en": "Bake <bread> & pastry"}, {}),
    },
    groups={},
    occupations={},
)
PARAMETERS = {
    "link": "0280151c-cca8-5766-acda-2f65356fd462",
    "exchange_id": "0280151c-cca8-5766-acda-2f65356fd462",
    "invitation_id": "0280151c-cca8-5766-acda-2f65356fd462",
    "side": "sender",
    "country": "DE",
    "language": "fr",
    "language_level": "B2",
    "window_first": "2026-05-01",
    "window_last": "2026-08-31",
    "min_days": "14",
    "max_days": "30",
    "answer_by": "2026-03-09T12:00:00+00:00",
    "act_by": "2026-03-09T12:00:00+00:00",
    "next": "accept",
    "step": "sign",
    "version": "3",
    "first_day": "2026-06-01",
    "last_day": "2026-06-30",
    "closes_on": "2026-08-30",
    "deadline": "2026-05-01",
    "raised_by": "host",
    "sender_country": "PT",
    "host_country": "DK",
    "learns_1": "welding",
    "learns_2": "baking",
    "gains_1": "baking",
}
VARIANTS: dict[str, list[dict[str, str]]] = {
    "match_proposed": [{"side": side} for side in ("sender", "host")],
    "accepted_by_other": [{"next": what} for what in ("accept", "draft")],
    "reminder": [{"step": step} for step in ("answer", "draft", "sign", "complete")],
    "does_not_fit": [{"raised_by": side} for side in ("sender", "host")],
    "checklist_reminder": [
        {"step": step}
        for step in ("a1_request", "posting_notification", "insurance", "accommodation", "travel_document")
    ],
}
CASES = [(template, variant) for template in TEMPLATES for variant in VARIANTS.get(template, [{}])]


def rendered(template: str, reads: Reads, name: str = "Ana Kovač", **changes: str) -> Rendered:
    parameters = {**PARAMETERS, **changes}
    if template == "still_interested":
        parameters["answer_by"] = "2026-08-30"
    return render(template, parameters, name, reads, URL, TAXONOMY)


class Words(HTMLParser):
    """Reads a page, strictly: every element that begins ends."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "title":
            self.words += data.split()


@pytest.mark.parametrize("reads", Reads)
@pytest.mark.parametrize(("template", "variant"), CASES, ids=str)
def test_every_template_says_all_in_every_language_as_text_and_as_html(
    template: str, variant: dict[str, str], reads: Reads
):
    mail = rendered(template, reads, **variant)
    page = Words()
    page.feed(mail.html)
    assert (page.open, page.links) == ([], [URL])
    assert f'<html lang="{reads}">' in mail.html
    assert mail.subject
    assert URL in mail.text
    for text in (mail.subject, mail.text, mail.html):
        assert not re.search(r"\{[{%]|[%}]\}|None|Undefined", text)
    assert page.words == mail.text.replace(URL, "").replace("\n--\n", "\n").split(), "both say the same"


def leaves(said: Any, path: str = "") -> dict[str, str]:
    if isinstance(said, dict):
        return {k: v for key, value in said.items() for k, v in leaves(value, f"{path}.{key}").items()}
    if isinstance(said, list):
        return {k: v for place, value in enumerate(said) for k, v in leaves(value, f"{path}.{place}").items()}
    return {path: said}


def texts(reads: Reads) -> dict[str, str]:
    return leaves(tomllib.loads((FOLDER / f"{reads}.toml").read_text()))


@pytest.mark.parametrize("reads", [reads for reads in Reads if reads is not Reads.EN])
def test_every_language_has_every_part_in_words_of_its_own(reads: Reads):
    english, translated = texts(Reads.EN), texts(reads)
    assert translated.keys() == english.keys()
    assert [path for path in english if translated[path] == english[path]] == []


@pytest.mark.parametrize("reads", Reads)
def test_every_language_has_exactly_the_templates_that_can_be_asked_for(reads: Reads):
    said = tomllib.loads((FOLDER / f"{reads}.toml").read_text())
    assert said.keys() - {"frame", "contact_point"} == TEMPLATES.keys()


@pytest.mark.parametrize("reads", Reads)
@pytest.mark.parametrize(("template", "variant"), CASES, ids=str)
def test_a_template_says_all_that_it_asks_for_and_takes_nothing_less(
    template: str, variant: dict[str, str], reads: Reads
):
    """What is not a code that another sentence is chosen by, or an id in a link, is said."""
    chosen_by = {"link", "exchange_id", "invitation_id", "side", "raised_by", "next", "step"}
    needed = TEMPLATES[template]
    render(template, {name: PARAMETERS[name] for name in needed} | variant, "Ana", reads, URL, TAXONOMY)
    for missing in needed - chosen_by:
        with pytest.raises((UndefinedError, TypeError)):
            render(
                template,
                {name: PARAMETERS[name] for name in needed - {missing}} | variant,
                "Ana",
                reads,
                URL,
                TAXONOMY,
            )


def test_a_proposal_is_explained_in_the_readers_words():
    german = rendered("match_proposed", Reads.DE).text
    assert "Deutschland" in german
    assert "Was dort gelernt werden kann: Metalle schweißen und Bake <bread> & pastry." in german
    assert "Arbeitssprache: Französisch, auf beiden Seiten mindestens auf Niveau B2." in german
    assert "zwischen dem 1. Mai 2026 und dem 31. August 2026, für einen Aufenthalt von 14 bis 30 Tagen" in german
    assert "bis 9. März 2026, 12:00 UTC" in german


def test_a_proposal_without_skills_in_one_direction_says_nothing_of_it():
    parameters = {name: value for name, value in PARAMETERS.items() if not name.startswith("gains")}
    said = render("match_proposed", parameters, "Ana", Reads.EN, URL, TAXONOMY).text
    assert "The host could learn" not in said
    assert "\n\n\n" not in said


@pytest.mark.parametrize(
    ("reads", "label"),
    [
        (Reads.DE, "Bier brauen"),
        (Reads.IT, "Produrre birra"),
        (Reads.FR, "Brasser de la bière"),
        (Reads.EN, "Brew beer"),
    ],
)
def test_a_skill_of_the_starter_set_is_said_in_the_readers_language(reads: Reads, label: str):
    said = {**PARAMETERS, "learns_1": "brewing"}
    assert label in render("match_proposed", said, "Ana", reads, URL, starter()).text


def test_a_contact_point_is_greeted_as_one_and_told_where_it_is_needed():
    alert = rendered("does_not_fit", Reads.IT, "", raised_by="host")
    assert alert.text.startswith("Gentile punto di contatto,\n")
    assert "Paese di invio: Portogallo; Paese ospitante: Danimarca" in alert.text
    assert "l'azienda ospitante" in alert.text.lower()
    assert "come quello di un punto di contatto" in alert.html.replace("&#39;", "'")


def test_what_stands_in_a_name_or_a_label_is_no_html():
    mail = rendered("match_proposed", Reads.EN, name="<b>Ana</b>")
    assert "&lt;b&gt;Ana&lt;/b&gt;" in mail.html
    assert "Bake &lt;bread&gt; &amp; pastry" in mail.html
    assert "<b>Ana</b>" in mail.text


@pytest.mark.parametrize("template", sorted(TEMPLATES.keys() - {"sign_in", "invited", "new_address"}))
def test_a_mail_leads_into_the_programme(template: str):
    assert place(template, PARAMETERS, "https://sojourn.example/").startswith("https://sojourn.example/")
    assert "{" not in place(template, PARAMETERS, "https://sojourn.example")
    assert template in PLACES
