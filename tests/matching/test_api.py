"""Who may see which matches, and what is shown of them."""

from uuid import uuid4

import pytest
from chassis.identity import Role
from sojourn_contracts.company import CompanyRegistered
from sojourn_contracts.match import MatchDeclined, MatchProposed

from tests.chassis_driver import Driver
from tests.matching.endings import declined
from tests.matching.market import host, named, offer, placement, sender, updated

PLACEMENT, OFFER = named("sender's placement"), named("host's offer")
OF_PLACEMENT, OF_OFFER = f"/placements/{PLACEMENT}/matches", f"/offers/{OFFER}/matches"


@pytest.fixture
async def proposal(matching: Driver) -> MatchProposed:
    await matching.handle(sender(), host())
    await matching.run_due()
    [event] = await matching.emitted()
    assert isinstance(event, MatchProposed)
    return event


@pytest.mark.parametrize(("path", "owner"), [(OF_PLACEMENT, "sender"), (OF_OFFER, "host")])
async def test_a_company_sees_the_matches_of_what_is_its_own(
    matching: Driver, proposal: MatchProposed, path: str, owner: str
):
    answer = await matching.http.get(path, headers=matching.token(Role.COMPANY, named(owner)))
    assert answer.status_code == 200
    [shown] = answer.json()
    said = proposal.model_dump(mode="json")
    for name in ("match_id", "placement_id", "offer_id", "score", "explanation", "window", "training"):
        assert shown[name] == said[name]
    assert shown["state"] == "proposed"


@pytest.mark.parametrize(("path", "other"), [(OF_PLACEMENT, "host"), (OF_OFFER, "sender")])
async def test_another_company_does_not(matching: Driver, proposal: MatchProposed, path: str, other: str):
    answer = await matching.http.get(path, headers=matching.token(Role.COMPANY, named(other)))
    assert (answer.status_code, answer.json()["rule"]) == (403, "not_yours")


@pytest.mark.parametrize("path", [OF_PLACEMENT, OF_OFFER, "/market"])
async def test_nobody_sees_anything_without_a_token_and_a_traveller_nothing_with_one(matching: Driver, path: str):
    assert (await matching.http.get(path)).status_code == 401
    traveller = matching.token(Role.TRAVELLER, named("sender"), named("somebody"))
    assert (await matching.http.get(path, headers=traveller)).status_code == 403


@pytest.mark.parametrize("kind", ["placements", "offers"])
async def test_what_nobody_has_heard_of_is_not_found(matching: Driver, kind: str):
    answer = await matching.http.get(f"/{kind}/{uuid4()}/matches", headers=matching.token(Role.OPERATOR))
    assert answer.status_code == 404
    wrong = await matching.http.get(f"/{kind}/first/matches", headers=matching.token(Role.OPERATOR))
    assert wrong.status_code == 422


async def test_ended_matches_stay_in_sight_also_when_the_placement_has_gone(matching: Driver, proposal: MatchProposed):
    await matching.handle(declined(proposal), updated(sender(), 2, placements=()))
    answer = await matching.http.get(OF_PLACEMENT, headers=matching.token(Role.COMPANY, named("sender")))
    assert [shown["state"] for shown in answer.json()] == ["declined"]


async def test_a_placement_without_a_match_has_an_empty_list(matching: Driver):
    await matching.handle(sender())
    answer = await matching.http.get(OF_PLACEMENT, headers=matching.token(Role.OPERATOR))
    assert (answer.status_code, answer.json()) == (200, [])


@pytest.mark.parametrize("end", ["company", "match"])
async def test_a_match_that_was_erased_by_itself_or_with_a_company_is_shown_no_more(
    matching: Driver, proposal: MatchProposed, end: str
):
    if end == "company":
        await matching.erase(CompanyRegistered, named("sender"))
    else:
        await matching.erase(MatchDeclined, proposal.match_id)
    answer = await matching.http.get(OF_OFFER, headers=matching.token(Role.COMPANY, named("host")))
    assert answer.json() == []


async def test_an_operator_sees_what_the_market_holds(matching: Driver):
    async def market() -> dict[str, int]:
        return (await matching.http.get("/market", headers=matching.token(Role.OPERATOR))).json()

    assert await market() == {"open_placements": 0, "free_places": 0, "live_matches": 0}
    roomy = updated(host(), 2, offers=(offer(capacity=3), offer("closed", capacity=0)))
    picky = updated(sender("picky"), 2, placements=(placement("nowhere", destinations=("MT",)), placement("elsewhere")))
    await matching.handle(sender(), picky, roomy)
    assert await market() == {"open_placements": 3, "free_places": 3, "live_matches": 0}
    await matching.run_due()
    assert await market() == {"open_placements": 1, "free_places": 1, "live_matches": 2}
