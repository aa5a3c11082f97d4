"""The taxonomy over HTTP: listed, searched, described, and what is in force."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from chassis.settings import SettingsError, describe, load
from registration.main import service
from registration.settings import RegistrationSettings
from sojourn_contracts.taxonomy import starter

from tests.chassis_driver import Driver
from tests.conftest import Driving
from tests.registration.forms import named, offer_form, placement_form, registration_form

TRADES = {
    "taxonomy": "title,version,attribution\nTrades,3,By the guilds\n",
    "groups": "id,label_en,label_de\nwood,Wood,Holz\n",
    "skills": (
        "id,parents,label_en,label_de,synonyms_en,synonyms_de\n"
        "joinery,wood,Joinery,Tischlern,cabinet making,Möbelbau\n"
        "chairs,joinery,Chairs,Stühle,,\n"
        "tables,joinery,Tables,Tische,,\n"
        "welding,,Welding,Schweißen,,\n"
    ),
    "occupations": "id,essential,label_en,label_de\ncarpenter,tables,Carpenter,Zimmerer\n",
}


@pytest.fixture
def trades(tmp_path: Path) -> Path:
    folder = tmp_path / "trades"
    folder.mkdir()
    for name, content in TRADES.items():
        (folder / f"{name}.csv").write_text(content)
    return folder


@pytest.fixture
async def driver(driving: Driving, trades: Path) -> Driver:
    return await driving(service, taxonomy=trades)


async def asked(driver: Driver, path: str) -> Any:
    answer = await driver.http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_without_a_setting_the_starter_set_is_in_force(driving: Driving):
    driver = await driving(service)
    listed = await asked(driver, "/skills")
    assert [skill["skill"] for skill in listed] == list(starter().skills)
    assert {
        "skill": "welding",
        "label": "Weld metals by several processes",
        "group": "manufacturing",
        "group_label": "Manufacturing",
    } in listed
    assert [one["skill"] for one in await asked(driver, "/skills?q=chee")] == ["cheese-making"]


async def test_a_search_says_what_led_to_each_skill(driver: Driver):
    joinery = {"skill": "joinery", "group": "wood", "occupation": None}
    assert await asked(driver, "/skills?q=cabinet") == [
        {**joinery, "label": "Joinery", "group_label": "Wood", "synonym": "cabinet making"}
    ]
    assert await asked(driver, f"/skills?language=de&q={quote('mobel')}") == [
        {**joinery, "label": "Tischlern", "group_label": "Holz", "synonym": "Möbelbau"}
    ]
    [by_occupation] = await asked(driver, "/skills?q=carp")
    assert (by_occupation["skill"], by_occupation["synonym"], by_occupation["occupation"]) == (
        "tables",
        None,
        "Carpenter",
    )


async def test_a_limit_bounds_the_list_and_the_search(driver: Driver):
    assert [one["skill"] for one in await asked(driver, "/skills?limit=2")] == ["joinery", "chairs"]
    assert len(await asked(driver, "/skills?q=c")) == 3
    assert [one["skill"] for one in await asked(driver, "/skills?q=c&limit=1")] == ["chairs"]


@pytest.mark.parametrize(
    ("query", "path", "allowed"),
    [
        ("q=c&language=fr", "language", "one of en, de"),
        ("language=fr", "language", "one of en, de"),
        ("q=", "q", "the beginning of a word or of several"),
        ("q=%2B%2B", "q", "the beginning of a word or of several"),
        (f"q={'a' * 101}", "q", None),
        ("q=a&limit=0", "limit", None),
        ("q=a&limit=101", "limit", None),
        ("limit=many", "limit", None),
    ],
)
async def test_a_wrong_parameter_is_named(driver: Driver, query: str, path: str, allowed: str | None):
    answer = await driver.http.get(f"/skills?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    errors = named(answer.json()["errors"])
    assert list(errors) == [f"query.{path}"]
    assert allowed is None or errors[f"query.{path}"].allowed == allowed


async def test_a_skill_is_shown_with_what_it_has_to_do_with(driver: Driver):
    assert await asked(driver, "/skills/chairs?language=de") == {
        "skill": "chairs",
        "label": "Stühle",
        "group": "wood",
        "group_label": "Holz",
        "labels": {"en": "Chairs", "de": "Stühle"},
        "synonyms": [],
        "broader": ["joinery"],
        "narrower": [],
        "siblings": ["tables"],
        "essential": [],
        "optional": [],
    }
    alone = await asked(driver, "/skills/welding")
    assert (alone["group"], alone["group_label"]) == (None, None)
    answer = await driver.http.get("/skills/brewing")
    assert (answer.status_code, answer.json()["rule"]) == (404, "unknown_skill")


async def test_the_taxonomy_in_force_and_what_is_owed_to_its_source_are_told(driver: Driver):
    assert await asked(driver, "/taxonomy") == {
        "title": "Trades",
        "version": "3",
        "attribution": "By the guilds",
        "languages": ["en", "de"],
        "skills": 4,
        "groups": 1,
        "occupations": 1,
    }


async def test_a_form_may_name_the_skills_in_force_and_no_others(driver: Driver):
    async def post(skill: str, key: str) -> Any:
        stays = [placement_form(skills_brought=["welding"], skills_sought=[skill])]
        form = registration_form(placements=stays, offers=[offer_form(skills_taught=["tables"])])
        return await driver.http.post("/companies", json=form, headers={"Idempotency-Key": key})

    assert (await post("chairs", "a" * 20)).status_code == 201
    refused = await post("cheese-making", "b" * 20)
    assert refused.status_code == 422
    assert list(named(refused.json()["errors"])) == ["placements.0.skills_sought.0"]


async def test_a_process_keeps_its_taxonomy_whatever_becomes_of_the_files(driver: Driver, trades: Path):
    (trades / "skills.csv").write_text("spoilt")
    assert len(await asked(driver, "/skills")) == 4


def test_a_faulty_taxonomy_ends_the_start_with_every_fault_named(trades: Path, monkeypatch: pytest.MonkeyPatch):
    (trades / "skills.csv").write_text(TRADES["skills"].replace("chairs,joinery", "chairs,chairs|no-such"))
    monkeypatch.setenv("TAXONOMY", str(trades))
    with pytest.raises(SettingsError) as failed:
        load(RegistrationSettings)
    text = str(failed.value)
    assert "  TAXONOMY: is not a taxonomy:\n" in text
    assert "    skills.csv:3:8: is a cycle: chairs > chairs\n" in text
    assert "    skills.csv:3:15: parent 'no-such' of 'chairs' is unknown" in text


def test_the_setting_is_documented_without_a_value():
    [row] = [line for line in describe(RegistrationSettings).splitlines() if line.startswith("TAXONOMY ")]
    assert " ".join(row.split()) == "TAXONOMY folder of the skills taxonomy in force; unset, the starter set"
