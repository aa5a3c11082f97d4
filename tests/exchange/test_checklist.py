"""What has to be done before a stay: by which rules, by whom, how it follows the exchange, and what contact points see of it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from uuid import UUID

import httpx
import pytest
from chassis.identity import Role
from chassis.transaction import Cause
from exchange import store
from exchange.checklist import domain
from exchange.checklist.domain import EEA, WHO, Done, Entry, Item, Listed, entries, next_reminder, reminder_due
from exchange.checklist.store import REMIND
from exchange.state import Exchange, day_of, start_of
from hypothesis import given as forall
from hypothesis import strategies as st
from sojourn_contracts.match import MatchProposed
from sojourn_contracts.vocabulary import Party

from tests.chassis_driver import Driver
from tests.exchange import given
from tests.exchange.given import (
    AFTER,
    FIRST,
    HOST,
    LAST,
    LONGER,
    MATCH,
    NOON,
    SENDER,
    STARTS,
    STRANGER,
    TRAVELLER,
    draft,
    id_of,
    proposal,
    signed,
)
from tests.exchange.world import stands_at

DAY = timedelta(days=1)
PATH = f"/exchanges/{MATCH}/checklist"

# The rules, without a database


def ahead(sender: str, host: str) -> dict[str, int]:
    """Days ahead by item."""
    return {entry.item.value: (FIRST - entry.deadline).days for entry in entries(sender, host, FIRST)}


@pytest.mark.parametrize(
    ("sender", "host", "a1", "posting", "insurance", "document"),
    [
        ("PT", "DK", 14, 7, 14, 14),
        ("NO", "IT", 14, 7, 14, 14),
        ("IT", "IS", 14, 7, 14, 14),
        ("DE", "CH", 14, 14, 14, 14),
        ("CH", "DE", 14, 7, 14, 14),
        ("IE", "GB", 14, None, 14, 56),
        ("GB", "FR", 14, 7, 14, 56),
        ("TR", "DE", None, 7, 28, 56),
        ("DE", "TR", None, None, 28, 56),
        ("RS", "TR", None, None, 28, 56),
        ("DE", "DE", None, None, 14, 14),
    ],
)
def test_the_pair_of_countries_decides_what_applies_and_how_far_ahead(
    sender: str, host: str, a1: int | None, posting: int | None, insurance: int, document: int
):
    expected = {
        "a1_request": a1,
        "posting_notification": posting,
        "insurance": insurance,
        "accommodation": 21,
        "travel_document": document,
    }
    assert ahead(sender, host) == {item: days for item, days in expected.items() if days is not None}


COUNTRIES = st.sampled_from([*sorted(EEA), "CH", "GB", "TR", "RS", "UA", "US"])


@forall(COUNTRIES, COUNTRIES, st.dates(date(2016, 1, 1), date(2100, 1, 1)))
def test_every_list_is_in_the_order_of_its_deadlines_and_all_lie_ahead(sender: str, host: str, first_day: date):
    found = entries(sender, host, first_day)
    assert [entry.deadline for entry in found] == sorted(entry.deadline for entry in found)
    assert all(entry.deadline < first_day for entry in found)
    assert {Item.INSURANCE, Item.ACCOMMODATION, Item.TRAVEL_DOCUMENT} <= {entry.item for entry in found}


def test_every_item_is_for_somebody_and_says_where_its_rule_comes_from():
    assert set(WHO) == set(Item)
    assert all(WHO.values())
    assert all(word in (domain.__doc__ or "") for word in ("Not legal advice", "source"))


def test_an_entry_is_late_from_the_day_after_its_deadline():
    entry = Entry(Item.INSURANCE, FIRST)
    assert [entry.late(FIRST + days * DAY) for days in (-1, 0, 1)] == [False, False, True]


def reminders(listed: Listed, first: date, last: date) -> Iterator[date]:
    """The days on which somebody is reminded, as due work does it."""
    day = next_reminder([listed], first)
    while day is not None and day <= last:
        assert reminder_due(listed, day)
        yield day
        listed = replace(listed, reminded_on=day)
        day = next_reminder([listed], day)


DEADLINE = date(2026, 5, 1)
OPEN = Listed(Entry(Item.INSURANCE, DEADLINE))
ENDLESS = DEADLINE + 1_000 * DAY


@pytest.mark.parametrize(
    ("from_day", "days"),
    [
        (DEADLINE - 60 * DAY, [DEADLINE - 7 * DAY, DEADLINE + DAY]),
        (DEADLINE - 3 * DAY, [DEADLINE - 3 * DAY, DEADLINE + DAY]),
        (DEADLINE + 5 * DAY, [DEADLINE + 5 * DAY]),
    ],
)
def test_somebody_is_reminded_a_week_ahead_and_when_it_is_late(from_day: date, days: list[date]):
    assert list(reminders(OPEN, from_day, ENDLESS)) == days


def test_nobody_is_reminded_of_what_is_done():
    assert list(reminders(replace(OPEN, done=Done(Party.SENDER, NOON)), DEADLINE - 60 * DAY, ENDLESS)) == []


def test_the_notice_is_for_whom_the_entry_is_first_and_one_a_day():
    notice = domain.reminder(given.agreed(), Listed(Entry(Item.ACCOMMODATION, DEADLINE)), DEADLINE)
    assert (notice.recipient_id, notice.template) == (HOST, "checklist_reminder")
    assert notice.parameters == {
        "exchange_id": str(MATCH),
        "step": "accommodation",
        "deadline": "2026-05-01",
    }
    same = domain.reminder(given.agreed(), Listed(Entry(Item.ACCOMMODATION, DEADLINE)), DEADLINE)
    others = (
        domain.reminder(given.agreed(), Listed(Entry(Item.ACCOMMODATION, DEADLINE)), DEADLINE + DAY),
        domain.reminder(given.agreed(), Listed(Entry(Item.INSURANCE, DEADLINE)), DEADLINE),
    )
    assert same.notice_id == notice.notice_id
    assert notice.notice_id not in {other.notice_id for other in others}


# On a real database


def caller(driver: Driver, party: Party) -> dict[str, str]:
    match party:
        case Party.TRAVELLER:
            return driver.token(Role.TRAVELLER, SENDER, TRAVELLER)
        case _:
            return driver.token(Role.COMPANY, SENDER if party is Party.SENDER else HOST)


async def comes_to(driver: Driver, exchange: Exchange) -> None:
    async with driver.process.open_transaction(Cause()) as tx:
        await store.save(tx, await store.locked(tx, exchange.id), (exchange, []))


async def states(driver: Driver) -> dict[str, str]:
    answer = await driver.http.get(PATH, headers=caller(driver, Party.SENDER))
    assert answer.status_code == 200, answer.text
    return {item["item"]: item["state"] for item in answer.json()["items"]}


async def deadlines(driver: Driver) -> dict[str, int]:
    """Days ahead of the usual first day."""
    rows = await driver.rows("select item, deadline from checklist_item")
    return {row["item"]: (FIRST - row["deadline"]).days for row in rows}


async def says(driver: Driver, method: str, item: str, token: dict[str, str]) -> httpx.Response:
    return await driver.http.request(method, f"{PATH}/{item}/done", headers=token)


async def next_reminder_at(driver: Driver) -> datetime | None:
    rows = await driver.rows("select at from due where kind = $1 and subject = $2", REMIND, str(MATCH))
    return rows[0]["at"] if rows else None


async def reminded(driver: Driver) -> dict[str, date]:
    rows = await driver.rows("select item, reminded_on from checklist_item where reminded_on is not null")
    return {row["item"]: row["reminded_on"] for row in rows}


async def test_the_list_comes_with_the_agreement(driver: Driver):
    await stands_at(driver, given.drafted())
    assert await states(driver) == {}
    await comes_to(driver, given.agreed())
    answer = (await driver.http.get(PATH, headers=caller(driver, Party.HOST))).json()
    assert answer["notice"].startswith("This is not legal advice.")
    assert [item["item"] for item in answer["items"]] == [
        "accommodation",
        "a1_request",
        "insurance",
        "travel_document",
        "posting_notification",
    ]
    assert answer["items"][1] == {
        "item": "a1_request",
        "deadline": (FIRST - 14 * DAY).isoformat(),
        "state": "open",
        "who": ["sender"],
        "done_by": None,
        "done_at": None,
    }


async def test_deadlines_move_with_the_first_day_and_what_was_done_stays_done(driver: Driver):
    await stands_at(driver, given.agreed())
    await says(driver, "POST", "insurance", caller(driver, Party.SENDER))
    before = await deadlines(driver)
    later = signed(draft(given.agreed(), given.terms((FIRST + 7 * DAY, LAST + 7 * DAY)), NOON)[0])
    await comes_to(driver, later)
    assert await deadlines(driver) == {item: days - 7 for item, days in before.items()}
    assert (await states(driver))["insurance"] == "done"


async def test_an_extension_moves_nothing(driver: Driver):
    await stands_at(driver, given.ongoing())
    before = await deadlines(driver)
    await comes_to(driver, signed(draft(given.ongoing(), LONGER, STARTS)[0], now=STARTS))
    assert await deadlines(driver) == before


async def test_a_cancelled_exchange_cancels_what_is_open(driver: Driver):
    await stands_at(driver, given.agreed())
    await says(driver, "POST", "insurance", caller(driver, Party.SENDER))
    await comes_to(driver, given.cancelled())
    found = await states(driver)
    assert found.pop("insurance") == "done"
    assert set(found.values()) == {"cancelled"}
    assert await next_reminder_at(driver) is None
    driver.clock.now_is(STARTS)
    assert (await driver.http.get("/risks", headers=driver.token(Role.OPERATOR))).json() == []


async def test_what_a_completed_stay_did_without_was_missed(driver: Driver):
    await stands_at(driver, given.agreed())
    driver.clock.now_is(AFTER)
    await comes_to(driver, given.completed())
    assert set((await states(driver)).values()) == {"missed"}
    assert (await driver.http.get("/risks", headers=driver.token(Role.OPERATOR))).json() == []


@pytest.mark.parametrize("item", Item)
@pytest.mark.parametrize("party", Party)
async def test_who_an_item_is_for_says_that_it_is_done_and_nobody_else_does(driver: Driver, item: Item, party: Party):
    await stands_at(driver, given.agreed())
    said = await says(driver, "POST", item, caller(driver, party))
    if party in WHO[item]:
        (entry,) = (entry for entry in said.json()["items"] if entry["item"] == item)
        assert (entry["state"], entry["done_by"], entry["done_at"]) == ("done", party, "2026-03-02T12:00:00Z")
    else:
        assert (said.status_code, said.json()["rule"]) == (403, "not_for_this_party")
        assert (await states(driver))[item] == "open"


async def test_who_said_first_that_it_is_done_stays(driver: Driver):
    await stands_at(driver, given.agreed())
    first = await says(driver, "POST", "insurance", caller(driver, Party.TRAVELLER))
    driver.clock.now_is(NOON + DAY)
    second = await says(driver, "POST", "insurance", caller(driver, Party.SENDER))
    assert second.json() == first.json()


async def test_what_is_done_is_undone_again_and_late_if_its_day_is_over(driver: Driver):
    await stands_at(driver, given.agreed())
    await says(driver, "POST", "insurance", caller(driver, Party.TRAVELLER))
    driver.clock.now_is(STARTS)
    refused = await says(driver, "DELETE", "insurance", caller(driver, Party.HOST))
    assert (refused.status_code, refused.json()["rule"]) == (403, "not_for_this_party")
    assert (await states(driver))["insurance"] == "done"
    for _ in range(2):
        assert (await says(driver, "DELETE", "insurance", caller(driver, Party.SENDER))).status_code == 200
        assert (await states(driver))["insurance"] == "late"


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_the_list_of_an_exchange_that_has_ended_stays_as_it_is(driver: Driver, method: str):
    await stands_at(driver, given.agreed())
    await comes_to(driver, given.cancelled())
    refused = await says(driver, method, "insurance", caller(driver, Party.SENDER))
    assert (refused.status_code, refused.json()["rule"]) == (409, "ended")
    assert (await states(driver))["insurance"] == "cancelled"


async def test_an_item_that_does_not_apply_or_is_none_is_not_found(driver: Driver):
    sender = caller(driver, Party.SENDER)
    await stands_at(driver, given.drafted())
    refused = await says(driver, "POST", "a1_request", sender)
    assert (refused.status_code, refused.json()["rule"]) == (404, "not_on_the_checklist")
    assert (await says(driver, "POST", "passport", sender)).status_code == 422


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_the_list_is_for_its_parties_and_read_by_who_looks_after_them(driver: Driver, method: str):
    await stands_at(driver, given.agreed())

    async def answer(token: dict[str, str], exchange_id: UUID = MATCH) -> int:
        path = f"/exchanges/{exchange_id}/checklist" + ("" if method == "GET" else "/insurance/done")
        return (await driver.http.request(method, path, headers=token)).status_code

    reading = 200 if method == "GET" else 403
    assert await answer(caller(driver, Party.TRAVELLER)) == 200
    assert await answer(driver.token(Role.OPERATOR)) == reading
    for country in ("PT", "DK"):
        assert await answer(driver.token(Role.CONTACT_POINT, country=country)) == reading
    assert await answer(driver.token(Role.CONTACT_POINT, country="DE")) == 403
    assert await answer(driver.token(Role.COMPANY, STRANGER)) == 403
    assert await answer(driver.token(Role.TRAVELLER, SENDER, STRANGER)) == 403
    assert await answer(driver.token(Role.ANALYST)) == 403
    assert await answer({}) == 401
    assert await answer(caller(driver, Party.SENDER), id_of("nothing")) == 404


async def test_reminders_come_at_their_days_and_end_when_all_is_done(driver: Driver):
    await stands_at(driver, given.agreed())
    accommodation = FIRST - 28 * DAY
    assert await next_reminder_at(driver) == start_of(accommodation)
    await driver.run_due(start_of(accommodation) - timedelta(seconds=1))
    assert await reminded(driver) == {}
    await driver.run_due(start_of(accommodation))
    assert await reminded(driver) == {"accommodation": accommodation}
    await driver.run_due(start_of(FIRST - 21 * DAY))
    week_ahead = dict.fromkeys(("a1_request", "insurance", "travel_document"), FIRST - 21 * DAY)
    assert await reminded(driver) == {"accommodation": accommodation, **week_ahead}
    assert await next_reminder_at(driver) == start_of(FIRST - 20 * DAY)
    for item, parties in WHO.items():
        await says(driver, "POST", item, caller(driver, parties[0]))
    assert await next_reminder_at(driver) is None
    await says(driver, "DELETE", "accommodation", caller(driver, Party.HOST))
    assert await next_reminder_at(driver) == start_of(FIRST - 20 * DAY)


async def test_who_agrees_late_is_reminded_at_once_and_once(driver: Driver):
    driver.clock.now_is(STARTS - DAY)
    await stands_at(driver, given.agreed())
    await driver.run_due()
    today = day_of(STARTS - DAY)
    assert await reminded(driver) == dict.fromkeys(WHO, today)
    assert await next_reminder_at(driver) is None


async def test_moved_deadlines_are_reminded_of_anew(driver: Driver):
    await stands_at(driver, given.agreed())
    await driver.run_due(start_of(FIRST - 21 * DAY))
    now = start_of(FIRST - 21 * DAY)
    await comes_to(
        driver, signed(draft(given.agreed(), given.terms((FIRST + 60 * DAY, LAST + 60 * DAY)), now)[0], now=now)
    )
    assert await reminded(driver) == {}
    assert await next_reminder_at(driver) == start_of(FIRST + 32 * DAY)


async def test_a_reminder_waits_for_who_acts_on_its_exchange(driver: Driver):
    await stands_at(driver, given.agreed())
    driver.clock.now_is(start_of(FIRST - 28 * DAY))
    async with driver.process.open_transaction(Cause()) as tx:
        await store.locked(tx, MATCH)
        assert await driver.process.due.round() == 1
        assert await reminded(driver) == {}
    assert await next_reminder_at(driver) == start_of(FIRST - 28 * DAY)


async def test_the_list_and_its_reminder_are_erased_with_the_exchange(driver: Driver):
    await stands_at(driver, given.agreed())
    await driver.erase(MatchProposed, MATCH)
    assert await driver.rows("select item from checklist_item") == []
    assert await next_reminder_at(driver) is None


# Risks


async def two_more_agreed(driver: Driver) -> None:
    """One to Germany from the same sender, and one from Italy to France."""
    for name, sender, host in (("to Germany", "PT", "DE"), ("to France", "IT", "FR")):
        match = proposal(name, sender_country=sender, host_country=host, host_id=id_of(f"host {name}"))
        await driver.handle(match)
        async with driver.process.open_transaction(Cause()) as tx:
            before = await store.locked(tx, match.match_id)
            await store.save(tx, before, (replace(given.agreed(), match=match), []))


async def risks(driver: Driver, token: dict[str, str], query: str = "") -> list[dict[str, object]]:
    answer = await driver.http.get(f"/risks{query}", headers=token)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_contact_points_see_what_is_late_in_their_country_the_longest_first(driver: Driver):
    await stands_at(driver, given.agreed())
    await two_more_agreed(driver)
    driver.clock.now_is(start_of(FIRST - 14 * DAY))
    portugal, denmark = (driver.token(Role.CONTACT_POINT, country=country) for country in ("PT", "DK"))
    (seen,) = await risks(driver, denmark)
    assert seen == {
        "exchange_id": str(MATCH),
        "item": "accommodation",
        "deadline": (FIRST - 21 * DAY).isoformat(),
        "days_late": 7,
        "sender_country": "PT",
        "host_country": "DK",
        "who": ["host", "traveller"],
    }
    assert {late["exchange_id"] for late in await risks(driver, portugal)} == {str(MATCH), str(id_of("to Germany"))}
    assert len(await risks(driver, driver.token(Role.OPERATOR))) == 3
    assert await risks(driver, driver.token(Role.CONTACT_POINT, country="SE")) == []
    driver.clock.now_is(start_of(FIRST - 13 * DAY))
    days_late = [late["days_late"] for late in await risks(driver, denmark)]
    assert days_late == [8, 1, 1, 1]


async def test_what_is_done_is_no_risk(driver: Driver):
    await stands_at(driver, given.agreed())
    driver.clock.now_is(start_of(FIRST - 14 * DAY))
    await says(driver, "POST", "accommodation", caller(driver, Party.HOST))
    assert await risks(driver, driver.token(Role.CONTACT_POINT, country="DK")) == []


async def test_pages_of_risks_follow_each_other(driver: Driver):
    await stands_at(driver, given.agreed())
    await two_more_agreed(driver)
    driver.clock.now_is(STARTS)
    operator = driver.token(Role.OPERATOR)
    whole, seen, following = await risks(driver, operator), [], "/risks?limit=4"
    while following:
        answer = await driver.http.get(following, headers=operator)
        assert len(answer.json()) <= 4
        seen += answer.json()
        following = answer.links["next"]["url"] if "next" in answer.links else ""
    assert seen == whole
    assert len(whole) == 15


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "after=soon", f"after=2026-02-31.{MATCH}.insurance", f"after=2026-02-01.{MATCH}.luck"],
)
async def test_a_wrong_page_of_risks_is_refused(driver: Driver, query: str):
    answer = await driver.http.get(f"/risks?{query}", headers=driver.token(Role.OPERATOR))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"].endswith(query.split("=")[0])


async def test_risks_are_for_contact_points_and_operators(driver: Driver):
    for token in (caller(driver, Party.SENDER), caller(driver, Party.TRAVELLER), driver.token(Role.ANALYST)):
        assert (await driver.http.get("/risks", headers=token)).status_code == 403
    assert (await driver.http.get("/risks")).status_code == 401


async def test_an_end_of_the_match_that_goes_leaves_no_reminders(driver: Driver):
    await stands_at(driver, given.agreed())
    await driver.handle(given.withdrawn(HOST))
    assert set((await states(driver)).values()) == {"cancelled"}
    assert await next_reminder_at(driver) is None
