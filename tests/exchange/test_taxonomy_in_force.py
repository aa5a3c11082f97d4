"""An agreement names skills of the taxonomy that exchange was started with."""

from dataclasses import replace
from pathlib import Path

import pytest
from chassis.settings import SettingsError, load
from exchange import domain, rate_table
from exchange.agreement import Rules, WrongTerms
from exchange.settings import ExchangeSettings
from sojourn_contracts.taxonomy import starter
from sojourn_contracts.vocabulary import Side

from tests.exchange import given
from tests.exchange.given import NOON


def test_a_skill_of_another_taxonomy_is_refused():
    item = replace(given.ITEM, skills=("joinery", "cheese-making"))
    with pytest.raises(WrongTerms) as wrong:
        domain.draft(
            given.accepted(), Side.HOST, given.terms(training=(item,)), Rules({"joinery"}, rate_table.starter()), NOON
        )
    assert [fault.path for fault in wrong.value.faults] == ["training.0.skills.1"]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("DATABASE_URL", "postgresql://exchange@db/sojourn")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    monkeypatch.setenv("JWKS", "jwks.json")
    return monkeypatch


def test_the_setting_names_the_folder(tmp_path: Path, environment: pytest.MonkeyPatch):
    environment.setenv("TAXONOMY", str(tmp_path))
    for name, content in (
        ("taxonomy", "title,version\nTrades,3\n"),
        ("groups", "id,label_en\n"),
        ("skills", "id,label_en\njoinery,Joinery\n"),
    ):
        (tmp_path / f"{name}.csv").write_text(content)
    assert set(load(ExchangeSettings).taxonomy.skills) == {"joinery"}
    (tmp_path / "skills.csv").write_text("id,label_en\njoinery,\n")
    with pytest.raises(SettingsError, match=r"TAXONOMY: is not a taxonomy:\n +skills.csv:2:9: 'joinery' has no label"):
        load(ExchangeSettings)


def test_without_the_setting_it_is_the_starter_set(environment: pytest.MonkeyPatch):
    environment.setenv("TAXONOMY", "")
    assert load(ExchangeSettings).taxonomy is starter()
