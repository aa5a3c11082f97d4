"""Random commands of random callers over HTTP, against the service and against a model of it that knows nothing of its code.

Whatever is asked, in whatever order, the service accepts what the model does and refuses what it refuses; the status is the same
afterwards, a repeat changes nothing, and events and chain of decisions are the history.

The same examples are played each time. ``FULL=1`` plays many more, others every time, and shortens the script that fails.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, ClassVar, TypeVar
from uuid import UUID, uuid4

import httpx
from chassis.identity import Role
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
from registration.main import service
from sojourn_contracts import catalogue

from tests.chassis_driver import NOON, Driver
from tests.conftest import Driving
from tests.http.serving import served
from tests.registration import model
from tests.registration.forms import company_form, offer_form, person_form, placement_form
from tests.registration.model import Ask, Company, Form, No

Told = TypeVar("Told")

FULL = "FULL" in os.environ
EXAMPLES, STEPS = (400, 50) if FULL else (9, 25)

CHANCE = st.randoms(use_true_random=True)
"""Spread evenly, which what hypothesis draws by itself is not: a few examples come to more."""
DAY = timedelta(days=1)
LATEST = datetime(2027, 11, 1, tzinfo=UTC)
"""A year later, every window still leaves time for a stay."""
WINDOWS = {
    "wide": {"first": "2026-04-01", "last": "2029-02-28"},
    "narrow": {"first": "2026-05-01", "last": "2029-01-31"},
    "too short": {"first": "2028-10-01", "last": "2028-10-05"},
}
FORMS = (
    Form(),
    Form(),
    *[Form(learning=False)] * 3,
    Form(learning=False, offer="narrow"),
    Form(name="Getriebe"),
    Form(country="FR"),
    *[Form(country="FR", learning=False)] * 2,
    Form(sends=False),
    Form(sends=False, learning=False),
    Form(offer=None),
    Form(offer="narrow"),
    Form(name=None),
    Form(wrong=True),
)


def body_of(form: Form, ids: dict[int, str]) -> dict[str, Any]:
    abroad = ["IT"] if form.country == "FR" else ["FR", "IT"]
    kept = {"offer_id": ids.get(form.keeps, str(uuid4()))} if form.keeps else {}
    body = company_form(
        name=form.name,
        country=form.country,
        region={"DE": "DE2", "FR": "FR1"}[form.country],
        learning_only=form.learning,
        placements=[placement_form(window=WINDOWS["wide"], destinations=abroad)] if form.sends else [],
        offers=[offer_form(window=WINDOWS[form.offer], **kept)] if form.offer else [],
    )
    if form.name is None:
        del body["name"]
    return body | ({"nace": "no code"} if form.wrong else {})


class Companies(RuleBasedStateMachine):
    """One company at a time: those before are left where they were."""

    driver: ClassVar[Driver]
    loop: ClassVar[asyncio.AbstractEventLoop]
    http: ClassVar[httpx.Client]

    @initialize(chance=CHANCE)
    def drafts(self, chance: Random) -> None:
        self._run(self.driver.rows("delete from due"))
        self._time_is(NOON)
        form = chance.choice([each for each in FORMS if not each.wrong])
        key = {"Idempotency-Key": f"company-{uuid4()}"}
        body = {**body_of(form, {}), "contact": person_form("Uwe Müller")}
        made, again = (self.http.post("/companies", json=body, headers=key) for _ in range(2))
        assert (made.status_code, again.status_code) == (201, 201), made.text
        assert made.json()["company_id"] == again.json()["company_id"]
        self.id = UUID(made.json()["company_id"])
        self.company = Company(form)
        self.ids = dict[int, str]()
        token = self.driver.token
        self.tokens = {
            "company": token(Role.COMPANY, self.id),
            "another company": token(Role.COMPANY, uuid4()),
            "traveller": token(Role.TRAVELLER, self.id, uuid4()),
            **{each: token(Role.CONTACT_POINT, person_id=uuid4(), country=each) for each in ("DE", "FR", "PT")},
            "operator": token(Role.OPERATOR),
        }
        note(f"a draft: {form}")
        self._look()

    @rule(chance=CHANCE)
    def they_act(self, chance: Random) -> None:
        """Most of what is asked changes something, for else no company would come far."""
        for _ in range(chance.randint(1, 5)):
            match chance.choice(
                ["change"] * 6 + ["the same", "refused", "anything"] + ["end"] * (chance.random() < 0.1)
            ):
                case "anything":
                    what = chance.choice(list(model.COMMANDS))
                    self._does(Ask(chance.choice(model.CALLERS), what, chance.choice(list(self._sayings(what)))))
                case "refused":
                    self._are_refused(chance)
                case wanted:
                    found = [ask for ask in self._asks() if self._would(ask) == wanted]
                    if found:
                        what = chance.choice(sorted({ask.what for ask in found}))
                        self._does(chance.choice([ask for ask in found if ask.what == what]))

    @precondition(lambda self: self.now < LATEST)
    @rule(
        how_far=st.sampled_from(["a day", "turn", "turn", "just before"]), worked=st.sampled_from([True, True, False])
    )
    def time_passes(self, how_far: str, worked: bool) -> None:
        """To the next day or turn, or to the last instant before it; what is due may be done later."""
        turn = max(self.now, model.turn(self.company) or self.now + DAY)
        just_before = max(self.now, turn - timedelta(microseconds=1))
        self._time_is({"a day": self.now + DAY, "turn": turn, "just before": just_before}[how_far])
        if worked:
            self._run(self.driver.run_due(self.now))
            self.company = model.time_has_come(self.company, self.now)
            note(f"{self.now:%d %b %Y} what is due is done")
            self._look()

    @rule(who=st.sampled_from(model.CALLERS))
    def somebody_looks(self, who: str) -> None:
        may = who in (*model.ITSELF, *self.company.countries)
        for path, allowed in (("", may), ("/decisions", may and who != "company")):
            status = self.http.get(f"/companies/{self.id}{path}", headers=self.tokens[who]).status_code
            assert status == (200 if allowed else 403), f"{who} looks at {path or 'the company'}: {status}"

    @invariant()
    def the_service_says_what_the_model_says(self) -> None:
        company, view = self.company, self.view
        said = company.said
        assert (view["status"], view["undecided"], view["revision"]) == (
            company.status,
            company.undecided,
            company.revision,
        )
        assert (view["draft"] is None) == (company.draft is None)
        shown = [(stay["window"], stay["state"]) for stay in (*view["placements"], *view["offers"])]
        assert shown == [(WINDOWS[stay.window], stay.rest) for stay in (said.stays if said else ())]
        assert view["name"] == (said.name if said else None)

    @invariant()
    def who_waits_for_a_contact_point_is_in_the_queue(self) -> None:
        found = self.http.get("/reviews?limit=500", headers=self.tokens["operator"]).json()
        assert (str(self.id) in {each["company_id"] for each in found}) == self.company.undecided

    def teardown(self) -> None:
        """The events and the chain of decisions are the history."""
        if not hasattr(self, "view"):
            return
        self._run(self.driver.rows("delete from review"))  # the next company's queue is its own
        rows = self._run(
            self.driver.rows(
                "select type, data from outbox where subject = $1 and type like 'Company%' order by id", self.id
            )
        )
        events = [
            catalogue.BY_NAME[row["type"].rpartition(".v")[0]].event.model_validate_json(row["data"]) for row in rows
        ]
        assert [told(event) for event in events] == list(self.company.told), "events"
        chain = self.http.get(f"/companies/{self.id}/decisions", headers=self.tokens["operator"]).json()
        assert chain["intact"]
        contents = [each["content"] for each in chain["decisions"]]
        found = [tuple(each[name] for name in ("command", "who", "revision", "before", "after")) for each in contents]
        assert found == list(self.company.rows), "the chain of decisions"

    def _asks(self) -> list[Ask]:
        """By those who can ever do it: all that there is to say."""
        return [
            Ask(who, what, said)
            for what, command in model.COMMANDS.items()
            for said in self._sayings(what)
            for who in command.by
        ]

    def _sayings(self, what: str) -> Iterator[tuple[object, ...]]:
        company = self.company
        match what:
            case "edit":
                yield from ((form,) for form in FORMS)
                for number in (*self.ids, 99):
                    yield (Form(keeps=number),)
                    yield (Form(offer="narrow", keeps=number),)
            case "decision":
                last = company.last[0] if company.last else 1
                for verdict in model.VERDICTS:
                    yield from ((verdict, revision) for revision in {last, company.revision, company.revision + 1})
            case "pause" | "closure":
                yield from ((number,) for number in (*self.ids, 99))
            case "renewal":
                for number in (*self.ids, 99):
                    yield from ((number, window) for window in WINDOWS)
            case _:
                yield ()

    def _would(self, ask: Ask) -> str:
        try:
            after = model.does(self.company, ask, self.now)
        except No:
            return "refused"
        if after.revision == self.company.revision and after.rows == self.company.rows:
            return "the same"
        return "end" if after.status in model.GONE else "change"

    def _are_refused(self, chance: Random) -> None:
        """Of each kind of command one that the status or something else forbids; together they change nothing either."""
        forbidden = [ask for ask in self._asks() if self._would(ask) == "refused"]
        before = self.view
        for what in sorted({ask.what for ask in forbidden}):
            self._answers(chance.choice([ask for ask in forbidden if ask.what == what]))
        self._look()
        assert self.view == before, "something was refused and changed the company"

    def _does(self, ask: Ask) -> None:
        """Asks the service and the model; an accepted command is repeated, and a refused one has changed nothing."""
        before = self.view
        after = self._answers(ask)
        if after is None:
            self._look()
            assert self.view == before, f"{ask} was refused and changed something"
            return
        self.company = after
        self._look()
        again, once = self._asked(ask), self.view
        assert again.is_success, f"{ask}: a repeat is answered {again.text}"
        self._look()
        assert self.view == once, f"{ask}: a repeat changed something"

    def _answers(self, ask: Ask) -> Company | None:
        """The company as the model has it afterwards; None if both refuse the command."""
        try:
            after, status = model.does(self.company, ask, self.now), 0
        except No as no:
            after, status = None, no.status
        answer = self._asked(ask)
        rule = "" if answer.is_success else answer.json().get("rule", "")
        note(f"{self.now:%d %b %Y} {ask}: {answer.status_code} {rule}")
        expected = f"{ask}: the model says {status or 'yes'}, the service {answer.status_code} {answer.text}"
        assert answer.is_success if after else answer.status_code == status, expected
        return after

    def _asked(self, ask: Ask) -> httpx.Response:
        path, body = f"/companies/{self.id}/{ask.what}", None
        method, token = "POST", self.tokens[ask.who]
        match ask.what, *ask.said:
            case "edit", Form() as form:
                method, path, body = "PUT", f"/companies/{self.id}", body_of(form, self.ids)
            case "decision", verdict, revision:
                body = {"revision": revision, "decision": verdict, "reason": "As the programme's rules say."}
            case "withdrawal", *_:
                body = {"reason": "left"}
            case "exclusion", *_:
                body = {"reason": "As the programme's rules say."}
            case (("pause" | "closure" | "renewal"), number, *window):
                stay = self.ids.get(number, str(uuid4()))
                path = f"/companies/{self.id}/stays/{stay}/{ask.what}"
                body = {"window": WINDOWS[window[0]]} if window else None
        return self.http.request(method, path, headers=token, json=body)

    def _look(self) -> None:
        """With the ids that are new, which stay those of the same stays."""
        self.view: dict[str, Any] = self.http.get(f"/companies/{self.id}", headers=self.tokens["operator"]).json()
        said = self.company.said
        found = [each["placement_id"] for each in self.view["placements"]]
        found += [each["offer_id"] for each in self.view["offers"]]
        for stay, its_id in zip(said.stays if said else (), found, strict=True):
            assert self.ids.setdefault(stay.number, its_id) == its_id, f"{stay} has another id"
        assert len(set(self.ids.values())) == len(self.ids)

    def _time_is(self, now: datetime) -> None:
        self.now = now
        self.driver.clock.now_is(now)

    def _run(self, work: Coroutine[Any, Any, Told]) -> Told:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)


def told(event: Any) -> tuple[object, ...]:
    """What an event says, as the model has it."""
    kind = type(event).__name__
    if kind == "CompanyWithdrawn":
        return kind, event.revision, event.reason
    windows = {(str(each["first"]), str(each["last"])): name for name, each in WINDOWS.items()}
    stays = [("placement", each.window) for each in event.placements] + [
        ("offer", each.window) for each in event.offers
    ]
    shown = tuple(sorted((what, windows[str(window.first), str(window.last)]) for what, window in stays))
    return kind, event.revision, event.country, shown


async def test_the_service_does_what_the_model_does(driving: Driving, only_logging: Callable[[int], None]):
    only_logging(logging.CRITICAL)
    driver = await driving(service)
    async with served(driver) as address:
        with httpx.Client(base_url=address, timeout=60) as http:
            world = {"driver": driver, "loop": asyncio.get_running_loop(), "http": http}
            await asyncio.to_thread(played, type("Companies", (Companies,), world))


def played(machine: type[RuleBasedStateMachine]) -> None:
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
    (play if FULL else seed("companies")(play))()
