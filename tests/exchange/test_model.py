"""Random commands of random parties over HTTP, against the service and against a model of it that knows nothing of its code.

Whatever is asked, in whatever order and however late, the service accepts what the model does and refuses what it refuses; the
stage is the same afterwards, a repeat changes nothing, and the events are the history.

The same examples are played each time. ``FULL=1`` plays many more, others every time, and shortens the script that fails.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, ClassVar, TypeVar

import httpx
import pytest
from chassis.identity import Role
from exchange.main import service
from hypothesis import HealthCheck, Phase, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    get_state_machine_test,
    initialize,
    invariant,
    precondition,
    rule,
)
from laptop.roles import Database
from sojourn_contracts.company import CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.event import Event
from sojourn_contracts.exchange import ExchangeAgreed, ExchangeCancelled, ExchangeCompleted, ExchangeUpdated
from sojourn_contracts.match import MatchDeclined

from tests import chassis_driver
from tests.chassis_driver import Driver
from tests.exchange import given, model
from tests.exchange.conftest import emptied
from tests.exchange.given import HOST, NOON, SENDER, STRANGER, TRAVELLER, id_of
from tests.exchange.model import DAY, PARTIES, SIDES, Ask, Company, Exchange, No, Parts, World
from tests.exchange.test_api import AGREEMENT, ITEM
from tests.http.serving import served

Told = TypeVar("Told")

FULL = "FULL" in os.environ
EXAMPLES, STEPS = (400, 50) if FULL else (9, 25)

NAMES = ("match", "second", "third", "fourth")
IDS = {name: id_of(name) for name in NAMES}
ENDS = {name: given.proposal(name).placement_id for name in NAMES} | {"offer": given.OFFER}
CHANCE = st.randoms(use_true_random=True)
"""Spread evenly, which what hypothesis draws by itself is not: a few examples come to more."""
BESIDE = 0.5
"""How often two exchanges are there from the beginning."""
INITIATORS = ("matching", *SIDES)
TRAVELLERS = {"traveller": TRAVELLER, "colleague": id_of("colleague")}
COMPANIES = {"sender": SENDER, "host": HOST, "stranger": STRANGER}

TRAININGS: dict[str, list[dict[str, Any]]] = {
    "cheese": [ITEM],
    "both": [ITEM, ITEM | {"learner": "host_staff", "skills": ["brewing"], "given_by": "traveller"}],
    "unknown skill": [ITEM | {"skills": ["cheese-making", "no-such-skill"]}],
    "teaches herself": [ITEM | {"given_by": "traveller"}],
    "none": [],
}
PUTS = ("agreement", "arrival", "fit", "training-record")


class Exchanges(RuleBasedStateMachine):
    """Two live exchanges at most: of one traveller, or of two that the same company sends."""

    driver: ClassVar[Driver]
    loop: ClassVar[asyncio.AbstractEventLoop]
    http: ClassVar[httpx.Client]
    tokens: ClassVar[dict[str, dict[str, str]]]

    # The world -------------------------------------------------------------------------------------------------------

    @initialize(chance=CHANCE)
    def begins(self, chance: Random) -> None:
        """With one exchange or two: sooner or later the traveller of the first is asked for twice at once."""
        self._run(emptied(self.driver))
        programme = self.driver.process.settings
        self.world = World(
            now=NOON,
            validators=frozenset(programme.rules.validating),
            most_sent=programme.most_sent,
            room=chance.randint(1, 2),
            companies={side: Company() for side in SIDES},
        )
        self.revisions = dict[str, int]()
        self.views = {}
        if chance.choice([True, True, False]):
            self._hears("sender", 1, frozenset(NAMES))
            self._hears("host", 1, frozenset({"offer"}))
        self._proposes("match", "traveller", chance.choice(INITIATORS))
        stage = chance.choice(["proposed", "drafted", *["agreed", "ongoing", "interrupted"] * 2])
        while self.world.exchanges["match"].stage not in (stage, "ongoing"):
            self._goes_on("match")
        if stage == "interrupted":
            self._time_is(self.world.now + 17 * DAY)
            self._does(Ask("host", "interruption", "match", ("illness",)))
        if chance.random() < BESIDE:
            self._one_more(chance.choice(["traveller", "traveller", "colleague"]), chance.choice(INITIATORS), 9)

    @precondition(lambda self: len(self._live()) < 2 and len(self.world.exchanges) < len(NAMES))
    @rule(
        traveller=st.sampled_from(list(TRAVELLERS)),
        initiator=st.sampled_from(INITIATORS),
        steps=st.sampled_from([0, 2, 9, 9]),
    )
    def another_match_is_proposed(self, traveller: str, initiator: str, steps: int) -> None:
        self._one_more(traveller, initiator, steps)

    @rule(initiator=st.sampled_from(INITIATORS))
    def a_proposal_comes_again(self, initiator: str) -> None:
        self._proposes("match", self.world.exchanges["match"].traveller, initiator)

    @rule(chance=CHANCE)
    def they_act(self, chance: Random) -> None:
        """Most of what is asked changes something, for else no exchange would come far."""
        for _ in range(chance.randint(1, 5)):
            name = chance.choice(self._live() or list(self.world.exchanges))
            match chance.choice(
                ["change"] * 4 + ["onward"] * 2 + ["refused", "anything"] + ["end"] * (chance.random() < 0.3)
            ):
                case "onward":
                    self._goes_on(name)
                case "anything":
                    command = chance.choice(list(model.COMMANDS))
                    said = chance.choice(list(self._sayings(name, command)))
                    self._does(Ask(chance.choice(model.CALLERS), command, name, said))
                case "refused":
                    self._are_refused(chance, name)
                case what:
                    self._does_one(chance, [ask for ask in self._asks(name) if self._would(ask) == what])

    @rule(chance=CHANCE)
    def somebody_is_late_or_only_looks(self, chance: Random) -> None:
        """What has ended takes nothing any more but a repeat of what ended it."""
        name = chance.choice(list(self.world.exchanges))
        if name not in self._live():
            self._does_one(chance, self._asks(name))
        who = chance.choice(model.CALLERS)
        may = (*SIDES, *model.COUNTRIES, "operator", self.world.exchanges[name].traveller)
        status = self.http.get(f"/exchanges/{IDS[name]}", headers=self.tokens[who]).status_code
        assert status == (200 if who in may else 403), f"{who} looks at {name}: {status}"

    @precondition(lambda self: self._live())
    @rule(
        how_far=st.sampled_from(["a day", "some days", "a week", "turn", "just before", "over", "far"]),
        worked=st.sampled_from([True, True, False]),
        chance=CHANCE,
    )
    def time_passes(self, how_far: str, worked: bool, chance: Random) -> None:
        """To a day or to the next turn, or to the last instant before it; what is due may be done later."""
        turns = [at for each in self.world.exchanges.values() for at, _ in model.turns(each) if at > self.world.now]
        turn = min(turns, default=self.world.now + DAY)
        over = [model.midnight(each.last_day + DAY) for each in self.world.exchanges.values() if each.held]
        self._time_is(
            {
                "a day": self.world.now + DAY,
                "some days": self.world.now + 3 * DAY,
                "a week": self.world.now + 7 * DAY,
                "turn": turn,
                "just before": turn - timedelta(microseconds=1),
                "over": min((at for at in over if at > self.world.now), default=turn),
                "far": self.world.now + 40 * DAY,
            }[how_far]
        )
        if self._live():
            self._are_refused(chance, chance.choice(self._live()))
        if worked:
            self.what_is_due_is_done()

    @rule()
    def what_is_due_is_done(self) -> None:
        self._run(self.driver.run_due(self.world.now))
        self.world = model.time_has_come(self.world)
        note(f"{self.world.now:%d %b %H:%M} what is due is done")
        self._look()

    @rule(
        side=st.sampled_from(SIDES),
        news=st.sampled_from(["the same", "again", "all", "all", "stale", "less", "nothing", "leaves"]),
        really=st.integers(0, 3),
    )
    def a_company_is_heard_of(self, side: str, news: str, really: int) -> None:
        """Ends seldom go: else no exchange would come far."""
        if really and news not in ("the same", "again", "all"):
            return
        company = self.world.companies[side]
        everything = frozenset(NAMES) if side == "sender" else frozenset({"offer"})
        newer = self.revisions.get(side, 0) + 1
        match news:
            case "the same":
                self._hears(side, newer, company.has)
            case "again":
                self._hears(side, max(company.revision, 1), company.has)
            case "all":
                self._hears(side, newer, everything)
            case "stale":
                self._hears(side, max(company.revision - 1, 1), everything)
            case "less":
                self._hears(side, newer, company.has - {*NAMES[1:], "offer"})
            case "nothing":
                self._hears(side, newer, frozenset())
            case _:
                gone = CompanyWithdrawn(company_id=COMPANIES[side], revision=newer, reason="left")
                self._run(self.driver.handle(gone))
                self.world = model.left(self.world, side)
                note(f"the {side} leaves the programme")
                self._look()

    # What has to be true ---------------------------------------------------------------------------------------------

    @invariant()
    def the_service_says_what_the_model_says(self) -> None:
        assert self.views.keys() == self.world.exchanges.keys()
        for name, exchange in self.world.exchanges.items():
            assert shown(self.views[name]) == expected(exchange), f"{name} is not as the model has it"

    def teardown(self) -> None:
        """The events are the history: one per change, of the right kind, and the last one tells how it stands."""
        if not hasattr(self, "world"):
            return
        emitted = self._run(self.driver.emitted())
        for name, exchange in self.world.exchanges.items():
            events = [event for event in emitted if event.subject == IDS[name]]
            assert [told(event) for event in events] == list(exchange.told), f"events of {name}"
            revisions = [event.model_dump()["revision"] for event in events]
            assert revisions == sorted(set(revisions)), f"revisions of {name}"
            if events:
                assert (told_stage(events[-1]), revisions[-1]) == (exchange.stage, self.views[name]["revision"])
        assert {event.subject for event in emitted} <= {IDS[name] for name in self.world.exchanges}

    # How it is done --------------------------------------------------------------------------------------------------

    def _live(self) -> list[str]:
        return [name for name, exchange in self.world.exchanges.items() if not exchange.ending]

    def _are_refused(self, chance: Random, name: str) -> None:
        """Of each kind of command one that stage, time or days forbid; together they change nothing either."""
        forbidden = [ask for ask in self._asks(name) if self._would(ask) == "refused"]
        before = self.views
        for what in sorted({ask.what for ask in forbidden}):
            ask = chance.choice([ask for ask in forbidden if ask.what == what])
            self._answers(ask, self._status_of(ask))
        self._look()
        assert self.views == before, f"something about {name} was refused and changed it"

    def _one_more(self, traveller: str, initiator: str, steps: int) -> None:
        name = NAMES[len(self.world.exchanges)]
        self._proposes(name, traveller, initiator)
        for _ in range(steps):
            self._goes_on(name)

    def _does_one(self, chance: Random, asks: list[Ask]) -> None:
        """Each kind of command as often as any other, however much there is to say in it."""
        if asks:
            what = chance.choice(sorted({ask.what for ask in asks}))
            self._does(chance.choice([ask for ask in asks if ask.what == what]))

    def _goes_on(self, name: str) -> None:
        exchange = self.world.exchanges[name]
        if exchange.ending:
            return
        if exchange.stage == "agreed":
            self._time_is(max(self.world.now, model.midnight(min(exchange.days))))
            self.what_is_due_is_done()
        elif exchange.stage == "ongoing" and exchange.record and self.world.today <= exchange.last_day:
            self._time_is(model.midnight(exchange.last_day + DAY))
        else:
            onward = list(self._onward(name, exchange))
            would = [ask for ask in onward if self._would(ask) == "change"]
            late = [ask for ask in onward if ask.what in ("signatures", "approval") and self._status_of(ask) == 409]
            for ask in (*late[:1], *would[:1]):
                self._does(ask)

    def _onward(self, name: str, exchange: Exchange) -> Iterator[Ask]:
        version = exchange.latest
        for side in SIDES:
            yield Ask(side, "acceptance", name)
        if version:
            for who in (*SIDES, exchange.traveller):
                yield Ask(who, "signatures", name, (version.number,))
            for country in model.COUNTRIES:
                yield Ask(country, "approval", name, (version.number,))
        if exchange.stage in ("accepted", "drafted"):
            for parts in self._terms(exchange):
                yield Ask("host", "agreement", name, (parts, "cheese"))
        yield Ask(exchange.traveller, "resumption", name)
        if not exchange.record:
            for day in sorted(exchange.days, reverse=True):
                yield Ask("host", "training-record", name, (day, "cheese-making", 5, "host"))
        for side in SIDES:
            yield Ask(side, "completion", name)

    def _asks(self, name: str) -> list[Ask]:
        """By those who can ever do it: all that there is to say."""
        exchange = self.world.exchanges[name]
        return [
            Ask(exchange.traveller if who == "traveller" else who, what, name, said)
            for what, command in model.COMMANDS.items()
            for said in self._sayings(name, what)
            for who in command.by
        ]

    def _sayings(self, name: str, what: str) -> Iterator[tuple[object, ...]]:
        exchange, today = self.world.exchanges[name], self.world.today
        number = exchange.latest.number if exchange.latest else 0
        match what:
            case "agreement":
                for parts in self._terms(exchange):
                    yield parts, "cheese"
                for training in model.TRAININGS:
                    yield next(iter(self._terms(exchange))), training
            case "signatures" | "approval" | "sending-back":
                yield from ((one,) for one in range(max(1, number - 1), number + 2))
            case "decline" | "cancellation":
                yield from (("dates",), ("other",))
            case "arrival":
                first = min(exchange.version.days) if exchange.version else today
                yield from ((day,) for day in sorted({today, first, first - DAY, first + DAY, today + DAY}))
            case "fit":
                yield from ((True,), (False,))
            case "training-record":
                days = sorted(exchange.days)
                chosen = {today, today - DAY, today + DAY, *days[:1], *days[-1:]}
                for day in sorted(chosen):
                    yield from (
                        (day, skill, hours, "host") for skill in ("cheese-making", "brewing") for hours in (2, 5)
                    )
            case "interruption":
                yield ("illness",)
            case _:
                yield ()

    def _terms(self, exchange: Exchange) -> Iterator[Parts]:
        """Days that could be meant, good and bad: near those in force, or else near the earliest."""
        if exchange.version and exchange.stage in model.STANDING:
            *earlier, (first, last) = exchange.version.parts
            before = tuple(earlier)
            for days in (7, 14, -1, -7, 40):
                yield (*before, (first, last + days * DAY))
            for gap in (1, 30, 300, 400):
                yield (*exchange.version.parts, (last + gap * DAY, last + (gap + 7) * DAY))
            for shift in (-3, 3, 60, 366):
                yield (*before, (first + shift * DAY, last + shift * DAY))
            split = self.world.today + 3 * DAY
            yield (*before, (first, split), (split + DAY, last + DAY))
            yield exchange.version.parts
            return
        first = max(self.world.today, model.FIRST_POSSIBLE)
        if exchange.version:
            yield exchange.version.parts
        for length in (21, 28, 45, 20, 46):
            yield ((first, first + (length - 1) * DAY),)
        for lengths in ((14, 14), (7, 14), (6, 16)):
            second = first + (lengths[0] + 5) * DAY
            yield (first, first + (lengths[0] - 1) * DAY), (second, second + (lengths[1] - 1) * DAY)
        yield ((first + DAY, model.LAST_POSSIBLE),)
        for shift in (-1, 1, 20, 90):
            yield ((first + shift * DAY, first + (shift + 24) * DAY),)
        yield (first, first + 13 * DAY), (first + 13 * DAY, first + 26 * DAY)
        yield ((first, first - DAY),)
        yield ()

    def _would(self, ask: Ask) -> str:
        try:
            after = model.does(self.world, ask)
        except No:
            return "refused"
        if after is self.world:
            return "the same"
        return "end" if after.exchanges[ask.about].ending and ask.what != "completion" else "change"

    def _does(self, ask: Ask) -> None:
        """Asks the service and the model; an accepted command is repeated, and a refused one has changed nothing."""
        status = self._status_of(ask)
        before = self.views[ask.about]
        answer = self._answers(ask, status)
        after = model.does(self.world, ask) if status == 200 else self.world
        self.world = after
        self._look()
        now = self.views[ask.about]
        if status != 200:
            assert now == before, f"{ask} was refused and changed something"
            return
        assert answer.json() == now, f"{ask}: the answer is not what is there"
        assert model.does(after, ask) is after, f"{ask}: the model changes something at a repeat"
        again = self._asked(ask)
        assert (again.status_code, again.json()) == (200, now), f"{ask}: a repeat is answered {again.text}"

    def _status_of(self, ask: Ask) -> int:
        """By the model."""
        try:
            model.does(self.world, ask)
        except No as no:
            return no.status
        return 200

    def _answers(self, ask: Ask, status: int) -> httpx.Response:
        answer = self._asked(ask)
        note(f"{self.world.now:%d %b %H:%M} {ask}: {answer.status_code} {answer.json().get('rule', '')}")
        assert answer.status_code == status, f"{ask}: the model says {status}, the service {answer.text}"
        return answer

    def _asked(self, ask: Ask) -> httpx.Response:
        method = "PUT" if ask.what in PUTS else "POST"
        path, body = ask.what, None
        match ask.what, *ask.said:
            case "decline" | "cancellation" | "interruption", why:
                body = {"reason": why}
            case "agreement", parts, training:
                days = [{"first_day": str(first), "last_day": str(last)} for first, last in parts]
                body = AGREEMENT | {"parts": days, "training": TRAININGS[training]}
            case "signatures" | "approval", number:
                body = {"version": number}
            case "sending-back", number:
                body = {"version": number, "remarks": "Name the trainer."}
            case "arrival", day:
                body = {"day": str(day)}
            case "fit", fits:
                body = {"fits": fits}
            case "training-record", day, skill, hours, given_by:
                path, body = f"{path}/{day}/{skill}", {"hours": hours, "given_by": given_by}
        return self.http.request(method, f"/exchanges/{IDS[ask.about]}/{path}", headers=self.tokens[ask.who], json=body)

    def _look(self) -> None:
        found = self.http.get("/exchanges", headers=self.tokens["operator"]).json()
        names = {str(its_id): name for name, its_id in IDS.items()}
        self.views: dict[str, dict[str, Any]] = {names[view["exchange_id"]]: view for view in found}

    def _proposes(self, name: str, traveller: str, initiator: str) -> None:
        traveller_id = TRAVELLERS[traveller]
        expires = self.world.now + model.OPEN_FOR
        proposal = given.proposal(
            name, initiator=initiator, traveller_id=traveller_id, offer_id=given.OFFER, expires_at=expires
        )
        self._run(self.driver.handle(proposal))
        self.world = model.proposed(self.world, name, traveller, initiator)
        note(f"{self.world.now:%d %b %H:%M} {name} of the {traveller} is proposed by {initiator}")
        self._look()

    def _hears(self, side: str, revision: int, has: frozenset[str]) -> None:
        ends = [ENDS[name] for name in sorted(has)]
        event = given.sender_updated(revision, *ends) if side == "sender" else given.host_updated(revision, *ends)
        offers = tuple(offer.model_copy(update={"capacity": self.world.room}) for offer in event.offers)
        self._run(self.driver.handle(CompanyUpdated.model_validate(event.model_dump() | {"offers": offers})))
        self.revisions[side] = max(revision, self.revisions.get(side, 0))
        self.world = model.heard(self.world, side, revision, has)
        note(f"the {side} has {', '.join(sorted(has)) or 'nothing'} at revision {revision}")
        self._look()

    def _time_is(self, now: datetime) -> None:
        self.world = model.replace(self.world, now=now)
        self.driver.clock.now_is(now)
        note(f"{now:%d %b %H:%M} it is")

    def _run(self, work: Coroutine[Any, Any, Told]) -> Told:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)


def expected(exchange: Exchange) -> dict[str, Any]:
    version, latest, begun = exchange.version, exchange.latest, exchange.begun
    at_stage, by, why = exchange.ending or (None, None, None)
    return {
        "stage": exchange.stage,
        "accepted_by": [side for side in SIDES if side in exchange.accepted],
        "open_until": exchange.open_until if exchange.stage in model.OPEN else None,
        "agreement_version": version.number if version else 0,
        "signed_by": [party for party in PARTIES if version and party in version.signed],
        "days": len(version.days) if version else None,
        "last_day": exchange.last_day if version else None,
        "latest_version": latest.number if latest else 0,
        "latest_signed_by": [party for party in PARTIES if latest and party in latest.signed],
        "latest_sent_back": latest is not None and latest.sent_back_by is not None,
        "awaits_approval_of": sorted(latest.validators - latest.approved) if latest else [],
        "counted_days": exchange.counted if begun else None,
        "training_hours": sum(hours for hours, _ in exchange.record.values()) if begun else None,
        "asked": exchange.asked,
        "arrivals": exchange.arrivals,
        "answers": exchange.fits,
        "confirmed_by": [side for side in SIDES if side in exchange.confirmed],
        "ended_on": exchange.ended_on,
        "ended_at_stage": at_stage,
        "ended_by": by,
        "reason": why,
    }


def shown(view: dict[str, Any]) -> dict[str, Any]:
    stay = view["stay"] or {"arrivals": [], "asked_at": None, "answers": [], "confirmed_by": [], "ended_on": None}
    return {
        **{name: view[name] for name in expected(Exchange("traveller", NOON)) if name in view},
        "open_until": _instant(view["open_until"]),
        "last_day": _day(view["last_day"]),
        "awaits_approval_of": sorted(view["awaits_approval_of"]),
        "asked": stay["asked_at"] is not None,
        "arrivals": {arrival["side"]: _day(arrival["day"]) for arrival in stay["arrivals"]},
        "answers": {answer["side"]: answer["fits"] for answer in stay["answers"]},
        "confirmed_by": stay["confirmed_by"],
        "ended_on": _day(stay["ended_on"]),
    }


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def told(event: Event) -> tuple[object, ...]:
    """What an event says, as the model has it."""
    kind = type(event).__name__
    match event:
        case MatchDeclined():
            return kind, event.reason, event.by, event.detail
        case ExchangeCancelled():
            return kind, event.cancelled_by, event.cancelled_at_stage, event.reason
        case ExchangeCompleted():
            return kind, event.days, event.last_day, event.training_hours
        case ExchangeUpdated() | ExchangeAgreed():
            accepted, signed = tuple(sorted(event.accepted_by)), tuple(sorted(event.signed_by))
            return kind, event.stage, accepted, event.agreement_version, signed, event.interrupted_days
        case _:
            return (kind,)


def told_stage(event: Event) -> str:
    return str(event.reason) if isinstance(event, MatchDeclined) else str(event.model_dump()["stage"])


@pytest.mark.parametrize(("validating", "most_sent"), [("", 2), ("PT DK", 1), ("DK", 2)])
async def test_the_service_does_what_the_model_does(
    exchange_database: Database, tmp_path: Path, only_logging: Callable[[int], None], validating: str, most_sent: int
):
    only_logging(logging.ERROR)
    url = exchange_database.url(service.name)
    programme = {"validating_countries": validating, "most_sent": most_sent}
    async with (
        chassis_driver.driving(service, url, tmp_path, **programme) as driver,
        served(driver) as address,
    ):
        with httpx.Client(base_url=address, timeout=60) as http:
            tokens = {
                **{name: driver.token(Role.COMPANY, its_id) for name, its_id in COMPANIES.items()},
                **{name: driver.token(Role.TRAVELLER, SENDER, its_id) for name, its_id in TRAVELLERS.items()},
                **{country: driver.token(Role.CONTACT_POINT, country=country) for country in ("PT", "DK", "DE")},
                "operator": driver.token(Role.OPERATOR),
            }
            world = {"driver": driver, "loop": asyncio.get_running_loop(), "http": http, "tokens": tokens}
            await asyncio.to_thread(played, type("Exchanges", (Exchanges,), world), validating)


def played(machine: type[RuleBasedStateMachine], examples: str) -> None:
    """``examples`` are the same ones for the same text; FULL plays others every time."""
    play = get_state_machine_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            phases=(Phase.generate, Phase.shrink) if FULL else (Phase.generate,),
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
    (play if FULL else seed(examples)(play))()
