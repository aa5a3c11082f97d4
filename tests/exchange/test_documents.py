"""The learning agreement and the certificate as PDF, in each language; and that everybody can verify a certificate."""

import asyncio
import io
import re
import tomllib
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import httpx
import pypdf
import pytest
from chassis.identity import Role
from chassis.transaction import Cause
from exchange import domain, store
from exchange.agreement import Agreement, Giver, Item, content_hash
from exchange.documents import agreement, certificate, rendering, words
from exchange.documents.rendering import Document, Paragraph, Table, set_as_pdf
from exchange.documents.store import CODE_BYTES, in_groups
from exchange.documents.words import DocumentLanguage
from exchange.forms import MOST_ITEMS, MOST_SKILLS
from exchange.state import Exchange
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st
from sojourn_contracts.match import MatchProposed
from sojourn_contracts.taxonomy import starter
from sojourn_contracts.vocabulary import Party, TrainingDirection

from tests.chassis_driver import Driver
from tests.exchange import given
from tests.exchange.given import (
    AFTER,
    FIRST,
    HOST,
    ITEM,
    LAST,
    MATCH,
    NOON,
    OTHER_TERMS,
    SENDER,
    STRANGER,
    TRAVELLER,
    draft,
    signed,
)
from tests.exchange.world import stands_at

LANGUAGES = pytest.mark.parametrize("language", list(DocumentLanguage))

SPLIT = replace(
    given.terms((FIRST, FIRST + timedelta(days=13)), (date(2026, 6, 1), date(2026, 6, 14))),
    training=(ITEM, Item(TrainingDirection.HOST_STAFF, ("brewing",), 1_200, Giver.TRAVELLER)),
    goals="Versteht die Käserei.\nΜαθαίνει την τυροκομία. Учи сиренето. Īss ceļš, Łódź, Győr, Şişli, Þór.",
    tasks=("Batch 12, from the milk to the shelf", "Second task"),
    supervision="Weekly talks with Δήμητρα",
)


def pages_of(pdf: bytes) -> str:
    """The text as a reader would copy it, its white space made even."""
    return even(" ".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf)).pages))


def even(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("\u200b", ""))


def split() -> Exchange:
    """Drafted for validation by Denmark, and signed by two of the three."""
    return signed(given.drafted(SPLIT, validating="DK"), Party.SENDER, Party.TRAVELLER)


def agreement_of(exchange: Exchange, language: DocumentLanguage, version: Agreement | None = None) -> Document:
    return agreement.document(version or exchange.drafted, exchange.match, starter(), language)


def printed(exchange: Exchange, language: DocumentLanguage) -> str:
    return pages_of(set_as_pdf(agreement_of(exchange, language)))


SAID = {
    DocumentLanguage.EN: (
        "Learning agreement",
        "From 4 May 2026 to 17 May 2026: 14 days",
        "From 1 June 2026 to 14 June 2026: 14 days",
        "In all 28 days",
        "in Denmark",
        "Working language English",
        "€1,026.67",
        "staff of the hosting company",
        "1,200",
        "on 2 March 2026 at 12:00 (UTC)",
        "not yet",
        "Denmark has still to approve this version",
        "Page 1 of 2",
    ),
    DocumentLanguage.DE: (
        "Lernvereinbarung",
        "Vom 4. Mai 2026 bis zum 17. Mai 2026: 14 Tage",
        "Vom 1. Juni 2026 bis zum 14. Juni 2026: 14 Tage",
        "Insgesamt 28 Tage",
        "in: Dänemark",
        "Arbeitssprache Englisch",
        "1.026,67 €",
        "Beschäftigte des aufnehmenden Unternehmens",
        "1.200",
        "am 2. März 2026 um 12:00 Uhr (UTC)",
        "noch nicht",
        "Dänemark muss dieser Fassung noch zustimmen",
        "Seite 1 von 2",
    ),
    DocumentLanguage.FR: (
        "Convention d’apprentissage",
        "Du 4 mai 2026 au 17 mai 2026 : 14 jours",
        "Du 1er juin 2026 au 14 juin 2026 : 14 jours",
        "Au total 28 jours",
        "pays : Danemark",
        "Langue de travail anglais",
        "1 026,67 €",
        "le personnel de l’entreprise d’accueil",
        "1 200",
        "le 2 mars 2026 à 12:00 (UTC)",
        "pas encore",
        "Danemark doit encore approuver cette version",
        "Page 1 sur 2",
    ),
    DocumentLanguage.IT: (
        "Accordo di apprendimento",
        "Dal 4 maggio 2026 al 17 maggio 2026: 14 giorni",
        "Dal 1 giugno 2026 al 14 giugno 2026: 14 giorni",
        "In totale 28 giorni",
        "paese: Danimarca",
        "Lingua di lavoro inglese",
        "1.026,67 €",
        "il personale dell’impresa ospitante",
        "1.200",
        "in data 2 marzo 2026 alle ore 12:00 (UTC)",
        "non ancora",
        "Danimarca deve ancora approvare questa versione",
        "Pagina 1 di 2",
    ),
}


@LANGUAGES
def test_every_part_of_the_agreement_is_in_it_in_each_language(language: DocumentLanguage):
    exchange, say = split(), words.words(language)
    text = printed(exchange, language)
    for expected in SAID[language]:
        assert even(expected) in text
    for written in (SPLIT.goals, SPLIT.workplace, SPLIT.supervision, *SPLIT.tasks):
        assert even(written) in text
    for id_ in (MATCH, SENDER, HOST, TRAVELLER):
        assert str(id_) in text
    assert content_hash(exchange.drafted) in text
    for skill in ("cheese-making", "brewing"):
        assert starter().skills[skill].label(language) in text
    labels = say.texts["agreement"].items()
    unused = {"approved", "sent_back", "drafted_value", "signed_value", "allowance_value"}
    assert [key for key, label in labels if key not in unused and even(label.strip()) not in text] == []


@LANGUAGES
def test_what_contact_points_said_is_in_it(language: DocumentLanguage):
    exchange = given.in_validation("PT DK")
    exchange, _ = domain.approve(exchange, "PT", 1, NOON)
    exchange, _ = domain.send_back(exchange, "DK", 1, "The hours {of} training\nare too few", NOON)
    text, say = printed(exchange, language), words.words(language)
    day = say.day(NOON.date())
    assert even(f"{say.country('PT')} {say['agreement.approved'].format(day=day)}") in text
    remarks = say["agreement.sent_back"].format(day=day, remarks="The hours {of} training are too few")
    assert even(f"{say.country('DK')} {remarks}") in text


def test_an_agreement_without_validation_names_no_contact_points():
    assert "Contact points" not in printed(given.agreed(), DocumentLanguage.EN)


def test_all_languages_have_the_same_words_with_the_same_places_in_them():
    def places(section: str, key: str, text: str) -> tuple[str, str, tuple[str, ...]]:
        return section, key, tuple(sorted(re.findall(r"{\w+}", text)))

    folder = Path(words.__file__).with_name("words")
    by_language = {
        file.stem: {
            places(section, key, text)
            for section, texts in tomllib.loads(file.read_text("utf-8")).items()
            if section != "locale"
            for key, text in texts.items()
        }
        for file in folder.glob("*.toml")
    }
    assert set(by_language) == set(DocumentLanguage)
    for language, found in by_language.items():
        assert found == by_language["en"], language


@LANGUAGES
def test_every_code_has_its_words(language: DocumentLanguage):
    texts = words.words(language).texts
    assert set(texts["party"]) == set(Party)
    assert set(texts["learner"]) == set(TrainingDirection)
    assert set(texts["given_by"]) == set(Giver)


@LANGUAGES
def test_a_pdf_is_tagged_and_says_its_language_and_title(language: DocumentLanguage):
    pdf = pypdf.PdfReader(io.BytesIO(set_as_pdf(agreement_of(split(), language))))
    root = pdf.root_object
    assert root["/Lang"] == language
    assert root["/MarkInfo"]["/Marked"]
    assert "/StructTreeRoot" in root
    assert pdf.metadata is not None
    assert pdf.metadata.title == SAID[language][0]
    assert b"pdfuaid:part" in root["/Metadata"].get_data()
    fonts = {font for page in pdf.pages for font in page["/Resources"]["/Font"].values()}
    assert fonts
    assert all("FontFile" in str(font.get_object()["/DescendantFonts"][0]["/FontDescriptor"]) for font in fonts)


def test_the_same_content_gives_the_same_bytes_and_the_hash_differs_with_the_content():
    document = agreement_of(split(), DocumentLanguage.FR)
    first, second = set_as_pdf(document), set_as_pdf(agreement_of(split(), DocumentLanguage.FR))
    assert first == second
    assert pypdf.PdfReader(io.BytesIO(first)).metadata.creation_date.date() == NOON.date()  # type: ignore[union-attr]
    other = draft(given.accepted(), OTHER_TERMS, NOON)[0]
    assert set_as_pdf(agreement_of(other, DocumentLanguage.FR)) != first
    assert content_hash(other.drafted) not in printed(split(), DocumentLanguage.FR)


def of_one_text(text: str) -> Document:
    return Document("Title", "en", FIRST, "footer", "{page} {pages}", (Paragraph(text),))


@pytest.mark.parametrize("text", ["#panic()", "$x$ *b* _i_ `c`", "\\ / // <label> @ref", "\" ' = - + [x] ]", "{page}"])
def test_texts_are_set_as_they_are(text: str):
    assert text in pages_of(set_as_pdf(of_one_text(text)))


def test_a_character_that_no_font_has_is_shown_as_missing_and_the_rest_is_set():
    pdf = set_as_pdf(of_one_text("before \u65e5\u672c after"))
    assert b"pdfuaid:part" not in pypdf.PdfReader(io.BytesIO(pdf)).root_object["/Metadata"].get_data()
    assert "before" in pages_of(pdf)
    assert "after" in pages_of(pdf)


@settings(max_examples=60, deadline=None)
@forall(st.text(st.characters(exclude_categories=("Cs",)), max_size=120))
def test_whatever_somebody_writes_can_be_set(text: str):
    assert set_as_pdf(replace(of_one_text(text), blocks=(Paragraph(text), Table((1,), ("h",), ((text,),))))).startswith(
        b"%PDF"
    )


def test_a_word_without_end_stays_on_its_page():
    pages = pypdf.PdfReader(io.BytesIO(set_as_pdf(of_one_text("W" * 4_000)))).pages
    furthest = [0.0]
    for page in pages:
        page.extract_text(visitor_text=lambda text, _, place, *__: furthest.append(place[4] if text.strip() else 0))
    assert max(furthest) < float(pages[0].mediabox.width)
    assert pages_of(set_as_pdf(of_one_text("W" * 4_000))).count("W") == 4_000


def test_the_largest_agreement_there_can_be_is_some_pages():
    skills = tuple(list(starter().skills)[:MOST_SKILLS])
    largest = replace(
        SPLIT,
        training=(replace(ITEM, skills=skills),) * MOST_ITEMS,
        goals="goal " * 800,
        tasks=("task " * 60,) * 20,
        workplace="place\n" * 660,
        supervision="wide " * 800,
    )
    pdf = set_as_pdf(agreement_of(given.drafted(largest), DocumentLanguage.DE))
    assert len(pypdf.PdfReader(io.BytesIO(pdf)).pages) < 60
    assert len(pdf) < 1_000_000


CODE = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

CERTIFIED = {
    DocumentLanguage.EN: (
        "Certificate of participation",
        "4 May 2026",
        "31 May 2026",
        "28 days",
        "5 hours",
        "Denmark",
        "1 June 2026",
    ),
    DocumentLanguage.DE: (
        "Teilnahmebescheinigung",
        "4. Mai 2026",
        "31. Mai 2026",
        "28 Tage",
        "5 Stunden",
        "Dänemark",
        "1. Juni 2026",
    ),
    DocumentLanguage.FR: (
        "Attestation de participation",
        "4 mai 2026",
        "31 mai 2026",
        "28 jours",
        "5 heures",
        "Danemark",
        "1er juin 2026",
    ),
    DocumentLanguage.IT: (
        "Attestato di partecipazione",
        "4 maggio 2026",
        "31 maggio 2026",
        "28 giorni",
        "5 ore",
        "Danimarca",
        "1 giugno 2026",
    ),
}


@LANGUAGES
def test_a_certificate_says_what_took_place_and_how_it_is_verified(language: DocumentLanguage):
    url = "https://sojourn.example/certificates"
    pdf = set_as_pdf(certificate.document(given.completed(), CODE, url, starter(), language))
    text = pages_of(pdf)
    for expected in CERTIFIED[language]:
        assert even(expected) in text
    assert in_groups(CODE) in text
    assert url in text
    assert str(TRAVELLER) in text
    assert starter().skills["cheese-making"].label(language) in text
    assert len(pypdf.PdfReader(io.BytesIO(pdf)).pages) == 1
    elsewhere = certificate.document(given.completed(), CODE, None, starter(), language)
    assert url not in pages_of(set_as_pdf(elsewhere))


def test_one_hour_is_one_hour():
    assert [words.words(language).hours(1) for language in DocumentLanguage] == [
        "1 hour",
        "1 ora",
        "1 Stunde",
        "1 heure",
    ]


# On a real database


async def get(driver: Driver, path: str, token: dict[str, str] | None = None) -> httpx.Response:
    return await driver.http.get(path, headers=token or driver.token(Role.COMPANY, SENDER))


AGREEMENT = f"/exchanges/{MATCH}/agreement"
CERTIFICATE = f"/exchanges/{MATCH}/certificate.pdf"


async def comes_to(driver: Driver, exchange: Exchange) -> None:
    async with driver.process.open_transaction(Cause()) as tx:
        await store.save(tx, await store.locked(tx, exchange.id), (exchange, []))


@LANGUAGES
async def test_an_agreement_is_read_as_pdf_in_a_language(driver: Driver, language: DocumentLanguage):
    await stands_at(driver, given.agreed())
    answer = await get(driver, f"{AGREEMENT}/1.pdf?language={language}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    assert answer.content == set_as_pdf(agreement_of(given.agreed(), language))
    assert f"agreement-{MATCH}-1-{language}.pdf" in answer.headers["content-disposition"]


async def test_every_version_can_be_read_with_the_signatures_under_it(driver: Driver):
    await stands_at(driver, given.signed_by(Party.HOST))
    second = draft(given.signed_by(Party.HOST), OTHER_TERMS, NOON)[0]
    await comes_to(driver, second)
    first, latest = [pages_of((await get(driver, f"{AGREEMENT}/{number}.pdf")).content) for number in (1, 2)]
    assert content_hash(given.drafted().drafted) in first
    assert first.count("not yet") == 2
    assert content_hash(second.drafted) in latest
    assert latest.count("not yet") == 3


async def test_a_version_or_a_language_that_there_is_not_is_refused(driver: Driver):
    await stands_at(driver, given.agreed())
    missing = await get(driver, f"{AGREEMENT}/2.pdf")
    assert (missing.status_code, missing.json()["rule"]) == (404, "unknown_version")
    assert (await get(driver, f"/exchanges/{STRANGER}/agreement/1.pdf")).status_code == 404
    for wrong in ("0.pdf", "one.pdf", f"{2**31}.pdf", "1.pdf?language=pt"):
        assert (await get(driver, f"{AGREEMENT}/{wrong}")).status_code == 422


@pytest.mark.parametrize("path", [f"{AGREEMENT}/1.pdf", CERTIFICATE])
async def test_documents_are_for_the_parties_and_operators(driver: Driver, path: str):
    await stands_at(driver, given.completed())
    for token in (
        driver.token(Role.COMPANY, SENDER),
        driver.token(Role.COMPANY_ADMIN, HOST),
        driver.token(Role.TRAVELLER, SENDER, TRAVELLER),
        driver.token(Role.OPERATOR),
    ):
        assert (await get(driver, path, token)).status_code == 200
    for token in (
        driver.token(Role.COMPANY, STRANGER),
        driver.token(Role.TRAVELLER, SENDER, STRANGER),
        driver.token(Role.ANALYST),
    ):
        assert (await get(driver, path, token)).status_code == 403
    assert (await driver.http.get(path)).status_code == 401


async def test_no_transaction_is_open_while_a_document_is_set(driver: Driver, monkeypatch: pytest.MonkeyPatch):
    await stands_at(driver, given.agreed())
    open_ones: list[int] = []

    async def looked_at(document: Document) -> bytes:
        pool = driver.process.pool
        open_ones.append(pool.get_size() - pool.get_idle_size())
        return set_as_pdf(document)

    monkeypatch.setattr(rendering, "pdf", looked_at)
    assert (await get(driver, f"{AGREEMENT}/1.pdf")).status_code == 200
    assert open_ones == [0]


async def test_the_event_loop_goes_on_while_a_document_is_set():
    large = of_one_text("word " * 40_000)
    setting, turns = asyncio.create_task(rendering.pdf(large)), 0
    while not setting.done():
        turns += 1
        await asyncio.sleep(0.001)
    assert (await setting).startswith(b"%PDF")
    assert turns > 10


async def test_before_it_is_completed_a_stay_has_no_certificate(driver: Driver):
    await stands_at(driver, given.ongoing())
    refused = await get(driver, CERTIFICATE)
    assert (refused.status_code, refused.json()["rule"]) == (404, "not_completed")


async def code_of(driver: Driver) -> str:
    return (await driver.rows("select code from certificate where exchange_id = $1", MATCH))[0]["code"]


async def test_whoever_has_its_code_can_verify_a_certificate_and_learns_no_name(driver: Driver):
    await stands_at(driver, given.completed())
    code = await code_of(driver)
    assert in_groups(code) in pages_of((await get(driver, CERTIFICATE)).content)
    for written in (code, in_groups(code), in_groups(code).lower()):
        answer = await driver.http.get(f"/certificates/{written}")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json() == {
            "valid": True,
            "sender_country": "PT",
            "host_country": "DK",
            "first_day": FIRST.isoformat(),
            "last_day": LAST.isoformat(),
            "days": 28,
            "training_hours": 5,
            "issued_on": AFTER.date().isoformat(),
        }


async def test_a_code_that_certifies_nothing_is_not_found(driver: Driver):
    await stands_at(driver, given.completed())
    code = await code_of(driver)
    for wrong in (CODE, code[:-1], f"{code}A", "x", str(MATCH), "%"):
        answer = await driver.http.get(f"/certificates/{wrong}")
        assert (answer.status_code, answer.json()["rule"]) == (404, "unknown_certificate")
    assert (await driver.http.get(f"/certificates/{'A' * 65}")).status_code == 422


async def test_a_code_is_long_random_and_for_good(driver: Driver):
    await stands_at(driver, given.completed())
    code = await code_of(driver)
    assert CODE_BYTES * 8 >= 128
    assert len(code) == CODE_BYTES * 8 // 5
    await comes_to(driver, replace(given.completed(), revision=99))
    assert await code_of(driver) == code
    await driver.rows("delete from certificate")
    await comes_to(driver, replace(given.completed(), revision=100))
    assert await code_of(driver) != code


async def test_an_erased_exchange_is_certified_no_more(driver: Driver):
    await stands_at(driver, given.completed())
    code = await code_of(driver)
    await driver.erase(MatchProposed, MATCH)
    assert (await driver.http.get(f"/certificates/{code}")).status_code == 404
    assert (await get(driver, CERTIFICATE)).status_code == 404
    assert (await get(driver, f"{AGREEMENT}/1.pdf")).status_code == 404
