"""The pages over HTTP: the last publication for everybody, the figures of this moment for those who evaluate."""

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from uuid import UUID
from xml.etree import ElementTree

import httpx
import pytest
from chassis.identity import Role
from chassis.transaction import Cause
from survey.evaluation.evaluate import evaluate
from survey.evaluation.figures import Counts, encoded
from survey.page import drawings, html, store
from survey.page.access import COOKIE
from survey.page.exhibits import document
from survey.page.words import words
from survey.questionnaires.published import newest
from survey.questionnaires.questionnaire import LANGUAGES

from tests.chassis_driver import Driver
from tests.http.serving import served
from tests.survey.figures import FIGURES, PROVENANCE

X = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"


async def publish(survey: Driver, step: int, pages: dict[str, str], version: str = newest().version) -> None:
    async with survey.process.open_transaction(Cause()) as tx:
        await tx.connection.execute(
            "insert into publication"
            " (questionnaire, step, snapshot_id, code_version, threshold, published_at, released, figures)"
            " values ($1, $2, $3, $4, 5, now(), '{}', $5)",
            version,
            step,
            PROVENANCE.snapshot,
            PROVENANCE.code,
            encoded(FIGURES).decode(),
        )
        await store.save_pages(tx, version, step, pages)


async def test_everybody_sees_the_last_publication_that_was_drawn_in_the_language_asked_for(survey: Driver):
    await publish(survey, 1, {language: f"<p>{language} 1</p>" for language in LANGUAGES})
    await publish(survey, 2, {language: f"<p>{language} 2</p>" for language in LANGUAGES})
    for language in LANGUAGES:
        answer = await survey.http.get("/figures/page", params={"language": language})
        assert (answer.status_code, answer.text) == (200, f"<p>{language} 2</p>")
    assert (await survey.http.get("/figures/page")).text == "<p>en 2</p>"


async def test_a_publication_without_pages_leaves_the_one_before_to_be_seen(survey: Driver):
    await publish(survey, 1, {"en": "<p>1</p>"})
    await publish(survey, 2, {})
    assert (await survey.http.get("/figures/page")).text == "<p>1</p>"


async def test_until_a_new_questionnaire_is_published_about_the_last_publication_of_any_is_seen(survey: Driver):
    await publish(survey, 7, {"en": "<p>before</p>"}, "2020.1")
    assert (await survey.http.get("/figures/page")).text == "<p>before</p>"
    named = {"questionnaire": newest().version}
    assert (await survey.http.get("/figures/page", params=named)).status_code == 404
    assert (await survey.http.get("/figures/page", params={"questionnaire": "1"})).status_code == 422
    await publish(survey, 1, {"en": "<p>new</p>"})
    for params in ({}, named):
        assert (await survey.http.get("/figures/page", params=params)).text == "<p>new</p>"


async def test_a_page_that_was_stored_stays_as_it_is(survey: Driver):
    await publish(survey, 1, {"en": "<p>1</p>"})
    async with survey.process.open_transaction(Cause()) as tx:
        await store.save_pages(tx, newest().version, 1, {"en": "<p>other</p>"})
    assert (await survey.http.get("/figures/page")).text == "<p>1</p>"


async def test_before_anything_is_published_there_is_no_page(survey: Driver):
    answer = await survey.http.get("/figures/page")
    assert (answer.status_code, answer.json()["rule"]) == (404, "nothing_published")


async def test_a_language_that_is_not_spoken_here_is_refused_with_those_that_are(survey: Driver):
    for path in ("/figures/page", "/evaluation/sign-in"):
        answer = await survey.http.get(path, params={"language": "es"})
        assert answer.status_code == 422
        assert "'en', 'it', 'de' or 'fr'" in answer.json()["errors"][0]["allowed"]


async def test_pages_are_answered_with_a_policy_that_lets_nothing_in(survey: Driver):
    await publish(survey, 1, {"en": "<p>1</p>"})
    pages = [
        await survey.http.get("/figures/page"),
        await survey.http.get("/evaluation/sign-in"),
        await survey.http.get("/evaluation/page", headers=survey.token(Role.EVALUATOR)),
    ]
    for page in pages:
        assert page.status_code == 200
        said = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
        assert said["default-src"] == said["base-uri"] == said["frame-ancestors"] == "'none'"
        assert "unsafe-inline" not in said.get("script-src", "") and "http" not in str(said)
        assert page.headers["x-content-type-options"] == "nosniff"
    assert "script-src" not in pages[0].headers["content-security-policy"]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_live_page_shows_the_figures_without_a_script(survey: Driver, language: str):
    answer = await survey.http.get(
        "/evaluation/page", params={"language": language}, headers=survey.token(Role.EVALUATOR)
    )
    root = ElementTree.fromstring(answer.text)
    assert root.get("lang") == language and answer.headers["cache-control"] == "no-store"
    for wave in (1, 2):
        section = next(each for each in root.iter(f"{X}section") if each.get("id") == f"indicators-{wave}")
        assert section.find(f".//{X}table") is not None
        drawn = section.find(f".//{SVG}svg/{SVG}title") is not None
        assert drawn == (wave == 1), "before anybody answers there is the pilot to draw, which asked once"
    assert root.find(f".//{X}p[@id='ended']").get("hidden")


async def test_the_live_pages_only_script_is_the_one_that_its_policy_names(survey: Driver):
    answer = await survey.http.get("/evaluation/page", headers=survey.token(Role.EVALUATOR))
    [script] = re.findall(r"<script>(.*?)</script>", answer.text, re.S)
    assert f"script-src {html.hash_of(script)};" in answer.headers["content-security-policy"]
    assert [name for name in _attributes(answer.text) if name.startswith("on") or name in ("src", "style")] == []
    assert "http" not in script


async def test_a_browser_signs_in_with_a_token_and_sees_the_live_page_and_its_stream(survey: Driver):
    token = survey.token(Role.EVALUATOR)["Authorization"].removeprefix("Bearer ")
    answer = await survey.http.post("/evaluation/sign-in", params={"language": "de"}, data={"token": token})
    assert (answer.status_code, answer.headers["location"]) == (303, "page?language=de")
    said = answer.headers["set-cookie"]
    assert "HttpOnly" in said and "Path=/evaluation" in said and "SameSite=strict" in said
    cookie = {"Cookie": f"{COOKIE}={token}"}
    assert (await survey.http.get("/evaluation/page", headers=cookie)).status_code == 200
    async with (
        served(survey) as url,
        httpx.AsyncClient(base_url=url, headers=cookie) as browser,
        browser.stream("GET", "/evaluation/live") as stream,
    ):
        assert stream.status_code == 200
        assert "event: figures" in [line async for line in aiter_until(stream, "event: figures")]


@pytest.mark.parametrize("path", ["/evaluation/page", "/evaluation/live"])
async def test_a_cookie_opens_as_much_as_the_token_in_it(survey: Driver, path: str):
    survey.http.cookies.clear()
    assert (await survey.http.get(path)).status_code == 401
    assert (await survey.http.get(path, headers={"Cookie": f"{COOKIE}=nonsense"})).status_code == 401
    company = survey.token(Role.COMPANY, company_id=UUID(int=7))["Authorization"].removeprefix("Bearer ")
    answer = await survey.http.get(path, headers={"Cookie": f"{COOKIE}={company}"})
    assert (answer.status_code, answer.json()["rule"]) == (403, "wrong_role")


async def test_the_cookie_is_good_for_no_other_route(survey: Driver):
    token = survey.token(Role.EVALUATOR)["Authorization"].removeprefix("Bearer ")
    answer = await survey.http.get("/evaluation", headers={"Cookie": f"{COOKIE}={token}"})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("sent", "status"), [({}, 422), ({"token": " "}, 422), ({"token": "nonsense"}, 401), ({"other": "x"}, 422)]
)
async def test_a_sign_in_without_a_good_token_sets_no_cookie(survey: Driver, sent: dict[str, str], status: int):
    answer = await survey.http.post("/evaluation/sign-in", data=sent)
    assert answer.status_code == status and "set-cookie" not in answer.headers


async def test_a_sign_in_with_a_token_of_another_role_sets_no_cookie(survey: Driver):
    token = survey.token(Role.CONTACT_POINT, country="DE")["Authorization"].removeprefix("Bearer ")
    answer = await survey.http.post("/evaluation/sign-in", data={"token": token})
    assert answer.status_code == 403 and "set-cookie" not in answer.headers


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_small_drawing_has_its_texts_and_no_number_that_is_not_in_its_table(language: str):
    for exhibit in document(FIGURES, newest(), words(language), None, lead="page.live").exhibits:
        drawn = drawings.drawn(exhibit)
        if drawn is None:
            continue
        svg = ElementTree.fromstring(drawn)
        assert (svg[0].text, svg[1].text) == (exhibit.title, " ".join(exhibit.says))
        told = " ".join(value for row in exhibit.rows for value in row)
        shown = {number for text in svg.iter(f"{SVG}text") for number in re.findall(r"\d+", text.text or "")}
        axis = {"0", "25", "50", "75", "100", "95", "2017"} if exhibit.code.startswith("indicators") else set()
        assert shown - axis <= set(re.findall(r"\d+", told)), exhibit.code


def test_the_live_page_without_any_count_can_be_written():
    nothing = evaluate(Counts(newest().version, 0), newest())
    told = document(nothing, newest(), words("en"), None, lead="page.live")
    drawn = {exhibit.code: svg for exhibit in told.exhibits if (svg := drawings.drawn(exhibit)) is not None}
    assert ElementTree.fromstring(html.page(told, drawn)).find(f".//{X}table") is not None


async def aiter_until(stream: httpx.Response, last: str) -> AsyncIterator[str]:
    async for line in stream.aiter_lines():
        yield line
        if line == last:
            return


def _attributes(text: str) -> list[str]:
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(name for name, _ in attrs)

    Reader().feed(text)
    return found
