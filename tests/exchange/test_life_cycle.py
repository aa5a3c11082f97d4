"""The table of the life cycle: drawn as the docs have it, whole, and the only way from stage to stage."""

from pathlib import Path

import pytest
from exchange import diagram, domain
from exchange.domain import OUTCOMES, Command, Who
from exchange.main import command
from sojourn_contracts.exchange import Stage
from sojourn_contracts.refusal import NotYours
from typer.testing import CliRunner

from tests.exchange import given
from tests.exchange.given import NOON

PAGE = Path(__file__).parents[2] / "docs" / "exchange.md"


def test_the_docs_show_the_life_cycle_as_the_command_prints_it():
    printed = CliRunner().invoke(command, ["life-cycle"])
    assert printed.exit_code == 0
    assert f"```mermaid\n{printed.stdout}```\n" in PAGE.read_text(encoding="utf-8")


def test_the_diagram_has_every_move_of_the_table():
    drawn = diagram.mermaid()
    for (stage, did, who), outcomes in OUTCOMES.items():
        for to in outcomes:
            (line,) = [line for line in drawn.splitlines() if line.startswith(f"    {stage} --> {to}:")]
            assert any(part.startswith(f"{did} (") and who in part for part in line.split(": ")[1].split("<br>"))


def test_every_stage_is_reached_every_command_is_used_and_no_end_is_left():
    assert {to for outcomes in OUTCOMES.values() for to in outcomes} | {Stage.PROPOSED} == set(Stage)
    assert {stage for stage, _, _ in OUTCOMES} == {stage for stage in Stage if not stage.ended}
    assert {did for _, did, _ in OUTCOMES} == set(Command)
    assert {who for _, _, who in OUTCOMES} == set(Who)


def test_what_others_may_do_at_this_stage_is_not_for_everybody():
    with pytest.raises(NotYours, match="not_for_you"):
        domain.allow(given.proposed(), Command.ACCEPT, Who.TRAVELLER)


def test_a_move_that_the_table_does_not_have_is_not_made():
    with pytest.raises(LookupError):
        domain.moved(given.proposed(), Command.ACCEPT, Who.HOST, NOON, Stage.AGREED)
