"""What is paid for a stay and when; and that an export of days that have come never changes."""

import asyncio
import csv
import io
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from chassis.identity import Role
from chassis.transaction import Cause
from exchange import domain, during, store
from exchange.payments import command
from exchange.payments.csv import COLUMNS, euros
from exchange.payments.domain import (
    STANDS_AHEAD,
    Claim,
    Earned,
    Kind,
    Payment,
    PaymentRules,
    claim_of,
    earned_cents,
    planned,
)
from exchange.state import Exchange, day_of
from hypothesis import given as forall
from hypothesis import strategies as st
from laptop.roles import Database
from sojourn_contracts.match import MatchProposed
from sojourn_contracts.vocabulary import Party, Side

from tests.chassis_driver import Driver
from tests.exchange import given
from tests.exchange.given import (
    AFTER,
    CLOSES,
    FIRST,
    LAST,
    LONGER,
    MATCH,
    NOON,
    SENDER,
    STARTS,
    TRAVELLER,
    draft,
    id_of,
    proposal,
    signed,
)
from tests.exchange.world import stands_at

DAY = timedelta(days=1)
TODAY = day_of(NOON)
RULES = PaymentRules(advance_percent=80, advance_days_ahead=14, final_payment_days=30)
ADVANCE = Payment(Kind.ADVANCE, 82_134, FIRST - 14 * DAY)

# The rules, without a database


def test_the_advance_is_its_share_rounded_half_up_and_due_before_the_stay():
    assert planned(Claim(102_667, FIRST), (), RULES, TODAY) == (ADVANCE,)
    (advance,) = planned(Claim(5, FIRST), (), replace(RULES, advance_percent=50), TODAY)
    assert advance.amount_cents == 3


@pytest.mark.parametrize("ahead", [0, 1, 13, 16])
def test_what_is_agreed_late_is_paid_two_days_later_at_the_soonest(ahead: int):
    today = FIRST - ahead * DAY
    (advance,) = planned(Claim(102_667, FIRST), (), RULES, today)
    assert advance.due_day == max(FIRST - 14 * DAY, today + 2 * DAY)


def test_an_advance_that_does_not_stand_yet_moves_with_the_dates_and_one_that_stands_does_not():
    later = Claim(90_000, FIRST + 7 * DAY)
    moved = Payment(Kind.ADVANCE, 72_000, FIRST - 7 * DAY)
    assert planned(later, (ADVANCE,), RULES, ADVANCE.due_day - 2 * DAY) == (moved,)
    assert planned(later, (ADVANCE,), RULES, ADVANCE.due_day - DAY) == (ADVANCE,)


@pytest.mark.parametrize(
    ("earned", "rest"),
    [
        (102_667, Payment(Kind.FINAL, 20_533, LAST + 31 * DAY)),
        (82_135, Payment(Kind.FINAL, 1, LAST + 31 * DAY)),
        (82_134, None),
        (0, Payment(Kind.RECOVERY, -82_134, LAST + 31 * DAY)),
    ],
)
def test_the_final_payment_is_what_was_earned_less_the_advance(earned: int, rest: Payment | None):
    claim = Claim(102_667, FIRST, Earned(earned, LAST + DAY))
    assert planned(claim, (ADVANCE,), RULES, LAST + DAY) == ((ADVANCE, rest) if rest else (ADVANCE,))


def test_an_exchange_that_is_called_off_before_the_advance_stands_costs_nothing():
    assert planned(Claim(102_667, FIRST, Earned(0, TODAY)), (ADVANCE,), RULES, TODAY) == ()


CENTS = st.integers(0, 1_000_000)


@st.composite
def histories(draws: st.DrawFn) -> tuple[PaymentRules, list[tuple[Claim, date]]]:
    """An exchange whose terms change on some days, and that ends on one."""
    rules = PaymentRules(
        draws(st.integers(0, 100)), draws(st.integers(0, 90)), draws(st.integers(STANDS_AHEAD.days, 60))
    )
    day, steps = TODAY, list[tuple[Claim, date]]()
    for _ in range(draws(st.integers(1, 5))):
        steps.append((Claim(draws(CENTS), day + draws(st.integers(0, 40)) * DAY), day))
        day += draws(st.integers(0, 40)) * DAY
    last, _ = steps[-1]
    earned = draws(st.integers(0, last.agreed_cents))
    return rules, [*steps, (replace(last, earned=Earned(earned, day)), day)]


@forall(histories())
def test_payments_sum_to_what_was_earned_and_what_stands_never_changes(
    history: tuple[PaymentRules, list[tuple[Claim, date]]],
):
    rules, steps = history
    payments: tuple[Payment, ...] = ()
    for claim, today in steps:
        before, payments = payments, planned(claim, payments, rules, today)
        assert [one for one in before if one.stands(today)] == [one for one in payments if one.stands(today)]
        assert all(one.due_day >= today + STANDS_AHEAD for one in payments if one not in before)
        assert len({one.kind for one in payments}) == len(payments) <= 2
        assert planned(claim, payments, rules, today) == payments
    assert steps[-1][0].earned is not None
    assert sum(one.amount_cents for one in payments) == steps[-1][0].earned.cents
    assert all(one.amount_cents for one in payments)


@forall(CENTS, st.integers(1, 62), st.data())
def test_what_was_earned_grows_with_the_days_and_is_all_of_it_in_the_end(agreed: int, days: int, data: st.DataObject):
    paid = data.draw(st.integers(1, days))
    assert 0 <= earned_cents(agreed, days, paid - 1) <= earned_cents(agreed, days, paid) <= agreed
    assert earned_cents(agreed, days, days) == agreed
    assert abs(earned_cents(agreed, days, paid) * days - agreed * paid) * 2 <= days


def earned(exchange: Exchange) -> int:
    claim = claim_of(exchange)
    assert claim is not None
    assert claim.earned is not None
    return claim.earned.cents


def test_a_stay_that_was_completed_earned_what_was_agreed():
    assert earned(given.completed()) == 102_667


def test_a_stay_that_ended_early_is_paid_until_its_last_day():
    trained = given.trained()
    over, _ = during.end_early(trained, Side.HOST, STARTS + 20 * DAY)
    for side in Side:
        over, _ = during.confirm_completion(over, side, AFTER)
    assert earned(over) == earned_cents(102_667, 28, 21)


def test_days_of_interruption_are_not_paid():
    exchange, _ = during.interrupt(given.trained(), Party.TRAVELLER, "illness", STARTS + 4 * DAY)
    exchange, _ = during.resume(exchange, Party.TRAVELLER, STARTS + 7 * DAY)
    for side in Side:
        exchange, _ = during.confirm_completion(exchange, side, AFTER)
    assert earned(exchange) == earned_cents(102_667, 28, 25)


def test_a_stay_that_is_broken_off_is_paid_until_then():
    cancelled, _ = domain.cancel(given.ongoing(), Side.HOST, "illness", STARTS + 5 * DAY)
    assert earned(cancelled) == earned_cents(102_667, 28, 6)
    interrupted = given.interrupted(STARTS + 3 * DAY)
    cancelled, _ = domain.cancel(interrupted, Side.HOST, "illness", STARTS + 5 * DAY)
    assert earned(cancelled) == earned_cents(102_667, 28, 3)


def test_a_stay_that_never_began_or_that_nobody_confirmed_earned_nothing():
    assert earned(given.cancelled()) == 0
    assert earned(during.close(given.ongoing(), CLOSES)[0]) == 0


def test_before_it_is_agreed_an_exchange_claims_nothing():
    for exchange in (given.accepted(), given.drafted(), given.in_validation(), given.declined(), given.expired()):
        assert claim_of(exchange) is None


def test_cents_are_written_exactly():
    assert [euros(cents) for cents in (0, 5, 100, 102_667, -5, -102_667)] == [
        "0.00",
        "0.05",
        "1.00",
        "1026.67",
        "-0.05",
        "-1026.67",
    ]


# On a real database

DUE = datetime.combine(ADVANCE.due_day, NOON.time(), UTC)


async def comes_to(driver: Driver, exchange: Exchange) -> None:
    """From the state it is in, as of the programme's time."""
    async with driver.process.open_transaction(Cause()) as tx:
        await store.save(tx, await store.locked(tx, exchange.id), (exchange, []))


async def payments_of(driver: Driver) -> list[tuple[str, int, date]]:
    rows = await driver.rows("select kind, amount_cents, due_day from payment order by due_day")
    return [tuple(row) for row in rows]


async def export(driver: Driver, first: date, last: date, **more: object) -> httpx.Response:
    days = {"from": first.isoformat(), "until": last.isoformat()}
    return await driver.http.get("/payments", params=days | more, headers=driver.token(Role.OPERATOR))


async def test_an_agreed_exchange_is_advanced_and_a_completed_one_paid_in_full(driver: Driver):
    await stands_at(driver, given.drafted())
    assert await payments_of(driver) == []
    await comes_to(driver, given.agreed())
    assert await payments_of(driver) == [("advance", 82_134, FIRST - 14 * DAY)]
    await driver.run_due(STARTS)
    driver.clock.now_is(AFTER)
    await comes_to(driver, given.completed())
    assert await payments_of(driver) == [
        ("advance", 82_134, FIRST - 14 * DAY),
        ("final", 20_533, day_of(AFTER) + 30 * DAY),
    ]


async def test_an_extension_is_paid_with_the_rest(driver: Driver):
    await stands_at(driver, given.agreed())
    driver.clock.now_is(STARTS)
    extended = signed(draft(given.ongoing(), LONGER, STARTS)[0], now=STARTS)
    await comes_to(driver, extended)
    assert await payments_of(driver) == [("advance", 82_134, FIRST - 14 * DAY)]


async def test_other_dates_move_an_advance_that_does_not_stand_yet(driver: Driver):
    await stands_at(driver, given.agreed())
    later = given.terms((FIRST + 7 * DAY, LAST + 7 * DAY))
    await comes_to(driver, signed(draft(given.agreed(), later, NOON)[0]))
    assert await payments_of(driver) == [("advance", 82_134, FIRST - 7 * DAY)]


async def test_an_exchange_called_off_before_its_advance_is_paid_nothing(driver: Driver):
    await stands_at(driver, given.agreed())
    await comes_to(driver, given.cancelled())
    assert await payments_of(driver) == []


async def test_an_advance_for_a_stay_that_is_called_off_is_to_be_paid_back(driver: Driver):
    await stands_at(driver, given.agreed())
    driver.clock.now_is(DUE)
    await comes_to(driver, domain.cancel(given.agreed(), Side.SENDER, "illness", DUE)[0])
    assert await payments_of(driver) == [
        ("advance", 82_134, ADVANCE.due_day),
        ("recovery", -82_134, ADVANCE.due_day + 30 * DAY),
    ]


async def test_a_payment_is_exported_from_the_day_on_which_it_falls_due(driver: Driver):
    await stands_at(driver, given.agreed())
    driver.clock.now_is(DUE)
    response = await export(driver, TODAY, ADVANCE.due_day)
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    (row,) = csv.DictReader(io.StringIO(response.text))
    assert UUID(row.pop("payment_id"))
    assert row == {
        "exchange_id": str(MATCH),
        "payee_id": str(SENDER),
        "kind": "advance",
        "amount_eur": "821.34",
        "due_day": ADVANCE.due_day.isoformat(),
    }
    assert (await export(driver, TODAY, ADVANCE.due_day - DAY)).text.count("\n") == 1


async def test_days_that_have_not_come_are_not_exported(driver: Driver):
    response = await export(driver, TODAY, TODAY + DAY)
    assert (response.status_code, response.json()["rule"]) == (422, "not_yet_due")
    assert response.json()["errors"][0]["path"] == "until"
    response = await export(driver, TODAY, TODAY - DAY)
    assert (response.status_code, response.json()["rule"]) == (422, "period_reversed")
    assert (await driver.http.get("/payments", headers=driver.token(Role.OPERATOR))).status_code == 422


async def test_payments_are_for_operators(driver: Driver):
    days = {"from": TODAY.isoformat(), "until": TODAY.isoformat()}
    for token in (
        driver.token(Role.COMPANY, SENDER),
        driver.token(Role.TRAVELLER, SENDER, TRAVELLER),
        driver.token(Role.CONTACT_POINT, country="PT"),
        driver.token(Role.ANALYST),
    ):
        assert (await driver.http.get("/payments", params=days, headers=token)).status_code == 403
    assert (await driver.http.get("/payments", params=days)).status_code == 401


async def several_agreed(driver: Driver, count: int) -> None:
    for number in range(count):
        match = proposal(f"match {number}", host_id=id_of("another host"))
        await driver.handle(match)
        async with driver.process.open_transaction(Cause()) as tx:
            before = await store.locked(tx, match.match_id)
            await store.save(tx, before, (replace(given.agreed(), match=match), []))


async def test_pages_in_a_row_are_the_whole_file_and_each_payment_is_in_it_once(driver: Driver):
    await several_agreed(driver, 7)
    driver.clock.now_is(DUE)
    whole = (await export(driver, TODAY, ADVANCE.due_day)).text
    assert len({line.split(",")[0] for line in whole.splitlines()}) == 8
    pages, response = "", await export(driver, TODAY, ADVANCE.due_day, limit=2)
    while True:
        pages += response.text
        if "next" not in response.links:
            break
        following = response.links["next"]["url"]
        response = await driver.http.get(following, headers=driver.token(Role.OPERATOR))
        assert response.text.count("\n") <= 2
    assert pages == whole


async def test_an_export_of_the_same_days_is_the_same_whatever_happened_meanwhile(driver: Driver):
    await stands_at(driver, given.agreed())
    driver.clock.now_is(DUE)
    first = (await export(driver, TODAY, ADVANCE.due_day)).content
    await comes_to(driver, domain.cancel(given.agreed(), Side.SENDER, "illness", DUE)[0])
    await several_agreed(driver, 2)
    assert (await export(driver, TODAY, ADVANCE.due_day)).content == first
    driver.clock.now_is(DUE + 90 * DAY)
    assert (await export(driver, TODAY, ADVANCE.due_day)).content == first


async def test_the_file_is_written_page_by_page(driver: Driver, monkeypatch: pytest.MonkeyPatch):
    await several_agreed(driver, 5)
    driver.clock.now_is(DUE)
    whole = (await export(driver, TODAY, ADVANCE.due_day)).text
    monkeypatch.setattr(command, "PAGE", 2)
    pages = [text async for text in command.pages(driver.process, TODAY, ADVANCE.due_day)]
    assert [page.count("\n") for page in pages] == [2, 2, 1]
    assert COLUMNS + "".join(pages) == whole


async def test_the_command_writes_what_http_gives(driver: Driver, exchange_database: Database, tmp_path: Path):
    await several_agreed(driver, 2)
    driver.clock.now_is(DUE)
    whole = (await export(driver, TODAY, ADVANCE.due_day)).content
    clock, file = tmp_path / "clock", tmp_path / "payments.csv"
    clock.write_text(DUE.isoformat())

    async def run(last_day: date, *arguments: str) -> tuple[int | None, bytes, bytes]:
        days = ("--from", TODAY.isoformat(), "--until", last_day.isoformat())
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("exchange"),
            *("payments", "export", *days, *arguments),
            env={
                "DATABASE_URL": exchange_database.url("exchange"),
                "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
                "JWKS": "none.json",
                "CLOCK_FILE": str(clock),
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, wrong = await process.communicate()
        return process.returncode, said, wrong

    printed, written, early = await asyncio.gather(
        run(ADVANCE.due_day), run(ADVANCE.due_day, "--output", str(file)), run(ADVANCE.due_day + DAY)
    )
    assert printed[:2] == (0, whole)
    assert (*written[:2], file.read_bytes()) == (0, b"", whole)
    assert early[:2] == (2, b"")
    assert b"--until: payments are exported from the day on which they fall due" in early[2]


async def test_an_exchange_that_is_erased_before_its_advance_is_paid_nothing(driver: Driver):
    await stands_at(driver, given.agreed())
    await driver.erase(MatchProposed, MATCH)
    assert await payments_of(driver) == []
