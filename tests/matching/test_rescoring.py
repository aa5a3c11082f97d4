"""A process that goes by another taxonomy scores the market anew, while others go on."""

from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from matching import planning
from matching.replica import Replica
from sojourn_contracts import taxonomy

from tests.chassis.waiting import until
from tests.chassis_driver import NOON, Driver
from tests.matching.conftest import Starting
from tests.matching.market import host, sender, updated

WELDS = sender("welds", skills_sought=("arc-welding",), skills_brought=())
TEACHES = host("teaches", skills_taught=("welding",), skills_needed=())


def naming(folder: Path, skills: str) -> Path:
    """A taxonomy of these lines."""
    folder.mkdir()
    (folder / "taxonomy.csv").write_text("title,version\nTrades,1\n")
    (folder / "groups.csv").write_text("id,parents,label_en\ntrades,,Trades\n")
    (folder / "skills.csv").write_text(f"id,parents,label_en\n{skills}")
    return folder


@pytest.fixture
def apart(tmp_path: Path) -> Path:
    """Two skills that have nothing to do with each other."""
    return naming(tmp_path / "apart", "welding,,Welding\narc-welding,,Arc welding\n")


@pytest.fixture
def akin(tmp_path: Path) -> Path:
    """One of them is a case of the other."""
    return naming(tmp_path / "akin", "welding,,Welding\narc-welding,welding,Arc welding\n")


async def kept(driver: Driver) -> list[tuple[int, int]]:
    """How many each end found, and the best score it was ever seen with."""
    rows = await driver.rows("select cardinality(others) as others, best from edges order by company_id")
    return [(row["others"], row["best"]) for row in rows]


async def rescored(driver: Driver, days: int = 1) -> None:
    """With the searches of the tick, and what comes after them."""
    for hours in (0, 12.5, 12.75):
        await driver.run_due(NOON + timedelta(days=days, hours=hours))


@pytest.mark.parametrize("ticks", [0, 24])
async def test_a_new_taxonomy_finds_who_fits_by_it_without_a_word_from_the_companies(
    starting: Starting, apart: Path, akin: Path, ticks: int
):
    former = await starting(taxonomy=apart, planner_tick_hours=ticks)
    await former.handle(WELDS, TEACHES)
    await rescored(former)
    assert await former.emitted() == []
    assert await kept(former) == [(0, 0), (0, 0)]
    later = await starting(taxonomy=akin, planner_tick_hours=ticks)
    await rescored(later, 2)
    assert len(await later.emitted()) == 1
    assert [others for others, _ in await kept(later)] == [1, 1]
    await rescored(later, 3)
    assert await later.rows("select from due where kind = 'rescore'") == []


async def test_what_was_hoped_for_by_former_rules_is_hoped_for_no_more(starting: Starting, apart: Path, akin: Path):
    former = await starting(taxonomy=akin, planner_tick_hours=24, batching_from=0)
    await former.handle(WELDS, TEACHES)
    await former.run_due()
    assert min(best for _, best in await kept(former)) > 0
    later = await starting(taxonomy=apart, planner_tick_hours=24, batching_from=0)
    await later.run_due()
    assert await kept(later) == [(0, 0), (0, 0)]


async def test_what_a_process_of_the_former_rules_scores_meanwhile_is_scored_anew_as_well(
    starting: Starting, apart: Path, akin: Path
):
    former = await starting(taxonomy=apart)
    await former.handle(WELDS, TEACHES)
    await former.run_due()
    later = await starting(taxonomy=akin)
    await former.run_due()
    assert [row["kind"] for row in await former.rows("select kind from due")] == ["rescore"]
    former_rules = cast(Replica, former.process.prepared).rules

    async def is_scored_anew() -> bool:
        await later.run_due()
        return not await later.rows("select from edges where rules = $1", former_rules)

    await until(is_scored_anew)
    await former.handle(updated(WELDS, 2), updated(TEACHES, 2))
    await former.run_due()
    assert not await is_scored_anew()
    await rescored(later)
    assert await is_scored_anew()
    await rescored(later, 2)
    assert await later.rows("select from due") == []


async def test_a_restart_by_the_same_rules_searches_for_nobody(starting: Starting, akin: Path):
    former = await starting(taxonomy=akin)
    await former.handle(WELDS, TEACHES)
    await former.run_due()
    later = await starting(taxonomy=akin)
    assert await later.rows("select from due") == []


def test_rules_are_the_same_for_the_same_taxonomy_and_others_for_another(apart: Path, akin: Path):
    assert planning.rules(taxonomy.read(akin)) == planning.rules(taxonomy.read(akin))
    assert planning.rules(taxonomy.read(akin)) != planning.rules(taxonomy.read(apart))
