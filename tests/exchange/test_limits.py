"""Nobody is in two places at a time, and no company has too many people away or as guests: also when two sign at once."""

import asyncio
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from chassis.identity import Role
from chassis.transaction import Cause
from exchange import limits, store
from exchange.agreement import Part, Terms
from exchange.limits import Held
from exchange.state import Exchange
from sojourn_contracts.exchange import Stage
from sojourn_contracts.match import MatchProposed
from sojourn_contracts.refusal import Refused
from sojourn_contracts.vocabulary import Party

from tests.chassis_driver import Driver
from tests.exchange import given
from tests.exchange.given import DAY, FIRST, HOST, LAST, OFFER, SENDER, STRANGER, TRAVELLER, id_of, proposal
from tests.exchange.world import both_registered, stage_of

NEXT = given.terms((LAST + DAY, LAST + 28 * DAY))
"""Begins on the day after the usual stay."""


def held(name: str, first: date, last: date, sender: UUID = SENDER, offer: UUID = OFFER) -> Held:
    return Held(id_of(name), offer, sender, Part(first, last))


def refused(others: list[Held], capacity: int | None = 2, most_sent: int = 2) -> str | None:
    try:
        limits.check(given.agreed(), others, most_sent, capacity)
    except Refused as refusal:
        return refusal.rule
    return None


ELSEWHERE = id_of("another offer")


def test_a_company_sends_at_most_so_many_people_on_a_day():
    one, two = held("one", FIRST, FIRST, offer=ELSEWHERE), held("two", LAST, LAST + 9 * DAY, offer=ELSEWHERE)
    assert refused([one, two]) is None
    both = held("two", FIRST - DAY, FIRST, offer=ELSEWHERE)
    assert refused([one, both]) == "too_many_sent"
    assert refused([one, both], most_sent=3) is None


def test_a_person_counts_once_and_not_for_their_own_stay():
    again = [held("one", FIRST, FIRST, offer=ELSEWHERE), held("one", FIRST, LAST, offer=ELSEWHERE)]
    assert refused(again) is None
    assert refused([Held(TRAVELLER, ELSEWHERE, SENDER, Part(FIRST, LAST))] * 2) is None


def test_a_host_has_as_many_guests_on_a_day_as_its_offer_has_room_for():
    guest = held("guest", LAST, LAST + DAY, sender=STRANGER)
    assert refused([guest], capacity=2) is None
    assert refused([guest], capacity=1) == "host_full"
    assert refused([guest], capacity=None) is None
    assert refused([held("guest", LAST + DAY, LAST + DAY, sender=STRANGER)], capacity=1) is None


async def signed_but_once(driver: Driver, match: MatchProposed, terms: Terms) -> Exchange:
    """All but the sender have signed."""
    exchange = replace(given.accepted(), match=match)
    exchange = given.signed(given.draft(exchange, terms, given.NOON)[0], Party.HOST, Party.TRAVELLER)
    await driver.handle(match)
    async with driver.process.open_transaction(Cause()) as tx:
        await store.save(tx, await store.locked(tx, match.match_id), (exchange, []))
    return exchange


async def sign(driver: Driver, exchange: Exchange) -> httpx.Response:
    token = driver.token(Role.COMPANY, exchange.match.sender_id)
    version = {"version": exchange.latest.version if exchange.latest else 0}
    return await driver.http.post(f"/exchanges/{exchange.id}/signatures", headers=token, json=version)


def told(response: httpx.Response) -> str:
    return response.json().get("rule") or response.json()["stage"]


def same_person(name: str, **changes: Any) -> MatchProposed:
    return proposal(name, traveller_id=TRAVELLER, offer_id=id_of(f"offer {name}"), **changes)


async def test_a_person_is_not_agreed_for_two_places_on_a_day(driver: Driver):
    await both_registered(driver)
    first = await signed_but_once(driver, same_person("one"), given.TERMS)
    overlapping = await signed_but_once(driver, same_person("two"), given.terms((LAST, LAST + 27 * DAY)))
    after = await signed_but_once(driver, same_person("three"), NEXT)
    assert told(await sign(driver, first)) == "agreed"
    answer = await sign(driver, overlapping)
    assert (answer.status_code, told(answer)) == (409, "traveller_elsewhere")
    assert await stage_of(driver, overlapping.id) is Stage.DRAFTED
    assert told(await sign(driver, after)) == "agreed"


async def test_days_are_free_again_when_their_exchange_ends(driver: Driver):
    await both_registered(driver)
    first = await signed_but_once(driver, same_person("one"), given.TERMS)
    second = await signed_but_once(driver, same_person("two"), given.TERMS)
    await sign(driver, first)
    token = driver.token(Role.COMPANY, SENDER)
    await driver.http.post(f"/exchanges/{first.id}/cancellation", headers=token, json={"reason": "dates"})
    assert told(await sign(driver, second)) == "agreed"


async def test_of_many_that_are_agreed_at_once_a_person_goes_to_one(driver: Driver):
    """Real transactions on as many connections as the pool has; the senders differ, so that no company's row orders them."""
    await both_registered(driver)
    exchanges = [
        await signed_but_once(
            driver, same_person(f"at once {number}", sender_id=id_of(f"sender {number}")), given.TERMS
        )
        for number in range(8)
    ]
    answers = await asyncio.gather(*(sign(driver, exchange) for exchange in exchanges))
    assert sorted(map(told, answers)) == ["agreed"] + ["traveller_elsewhere"] * 7
    rows = await driver.rows("select exchange_id from held_days")
    assert len(rows) == 1
    assert await stage_of(driver, rows[0]["exchange_id"]) is Stage.AGREED


@pytest.mark.parametrize("days_of_two", [given.TERMS, given.terms((FIRST + DAY, LAST + DAY))])
async def test_of_many_that_are_agreed_at_once_a_company_sends_two(driver: Driver, days_of_two: Terms):
    await both_registered(driver)
    exchanges = [
        await signed_but_once(driver, proposal(f"person {number}", offer_id=id_of(f"offer {number}")), terms)
        for number, terms in enumerate((given.TERMS, given.TERMS, days_of_two, days_of_two))
    ]
    answers = await asyncio.gather(*(sign(driver, exchange) for exchange in exchanges))
    assert sorted(map(told, answers)) == ["agreed", "agreed", "too_many_sent", "too_many_sent"]


async def test_of_many_that_are_agreed_at_once_a_host_takes_as_many_as_it_has_room_for(driver: Driver):
    await both_registered(driver)
    exchanges = [
        await signed_but_once(
            driver, proposal(f"guest {number}", offer_id=OFFER, sender_id=id_of(f"sender {number}")), given.TERMS
        )
        for number in range(4)
    ]
    answers = await asyncio.gather(*(sign(driver, exchange) for exchange in exchanges))
    assert sorted(map(told, answers)) == ["agreed", "agreed", "host_full", "host_full"]


async def test_an_extension_is_refused_into_the_days_of_another_stay(driver: Driver):
    await both_registered(driver)
    first = await signed_but_once(driver, same_person("one"), given.TERMS)
    after = await signed_but_once(driver, same_person("two", sender_id=HOST), NEXT)
    assert [told(await sign(driver, one)) for one in (first, after)] == ["agreed", "agreed"]
    async with driver.process.open_transaction(Cause()) as tx:
        before = await store.locked(tx, first.id)
        extended = given.draft(before, given.LONGER, given.NOON)[0]
        extended = given.signed(extended, Party.HOST, Party.TRAVELLER)
        await store.save(tx, before, (extended, []))
    assert told(await sign(driver, extended)) == "traveller_elsewhere"
    async with driver.process.open_transaction(Cause()) as tx:
        assert (await store.read(tx, first.id)).last_day == LAST


def test_a_person_of_the_same_sender_counts_by_the_day_in_each_part():
    split = given.agreed(given.terms((FIRST, FIRST + 6 * DAY), (FIRST + 20 * DAY, FIRST + 40 * DAY)))
    between = [held("a", FIRST + 7 * DAY, FIRST + 19 * DAY), held("b", FIRST + 7 * DAY, FIRST + timedelta(days=19))]
    limits.check(split, between, 2, 2)
    with pytest.raises(Refused, match="too_many_sent"):
        limits.check(split, [*between, held("c", FIRST + 20 * DAY, LAST), held("d", FIRST, LAST)], 2, None)
