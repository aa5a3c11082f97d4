"""Plays the companies: steps the programme clock to the next act or due instant; people look, decide and act.

The story depends on the seed alone: acts stand in a total order, each that moves the market is over before the next one,
and choices are drawn by subject. How fast machines and processes are changes nothing but the wall-clock figures.
"""

import heapq
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import uuid5

from pilot.choices import Choices
from pilot.office import office_hour
from pilot.people import ENDED, Act, Does, Person, View, about_exchange, about_invitation, midnight, stay
from pilot.population import NAMESPACE, START, Company, changed
from pilot.programme import Programme, Refused
from pilot.steps import Standing, Steps

QUIET_LOOKS = timedelta(days=7)
"""How often a company looks that has nothing going on."""


@dataclass
class Progress:
    """How far a replay has come; the terminal shows it while it runs."""

    now: datetime = START
    acts: Counter[str] = field(default_factory=Counter)
    """Acts that took effect, by name."""
    refusals: Counter[str] = field(default_factory=Counter)
    """Acts that were refused, by name and the rule's name."""
    events: int = 0
    steps: int = 0
    ended_at: datetime | None = None
    step_seconds: list[float] = field(default_factory=list)
    act_seconds: list[float] = field(default_factory=list)


class Replay:
    """One story, from the first registration until nothing more is to happen."""

    def __init__(
        self,
        companies: Sequence[Company],
        choices: Choices,
        programme: Programme,
        steps: Steps,
        until: datetime,
        tell: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self._companies = companies
        self._choices = choices
        self._programme = programme
        self._steps = steps
        self._until = until
        self._tell = tell
        self._people: dict[tuple[int, int], Person] = {}
        self._travellers: dict[str, Person] = {}
        self._profiles: dict[tuple[int, int], View] = {}
        self._agenda: list[Act] = [
            Act(company.registers_at, Does.REGISTER, (company.index, 0)) for company in companies
        ]
        heapq.heapify(self._agenda)
        self._standing = Standing(None, 0)
        self.progress = Progress()

    async def play(self) -> Progress:
        """Runs until nothing more is to happen, or until the end that was given."""
        self._set_clock(START)
        await self._settle()
        while (at := self._next_instant()) is not None and at <= self._until:
            await self._instant(at)
        self.progress.ended_at = self.progress.now
        return self.progress

    def _next_instant(self) -> datetime | None:
        due = self._standing.next_due
        acts = [self._agenda[0].at] if self._agenda else []
        return min(acts + ([due] if due else []), default=None)

    async def _instant(self, at: datetime) -> None:
        """All that happens at one instant: first what is due, then what people do. Looking alone needs no step."""
        if self._standing.next_due is not None and self._standing.next_due <= at:
            self._set_clock(at)
            await self._settle()
        while self._agenda and self._agenda[0].at <= at:
            act = heapq.heappop(self._agenda)
            if act.does is Does.LOOK:
                await self._look(self._people[act.person], at)
                continue
            if self.progress.now < at:
                self._set_clock(at)
            act = self._reconsidered(act)
            await self._do(act)
            if act.does.moves_the_market or not self._agenda or self._agenda[0].at > at:
                await self._settle()

    def _set_clock(self, at: datetime) -> None:
        """Nothing is due before ``at``: whoever does something from now on reads the new time, and there is no need to wait."""
        self._steps.to(at)
        self.progress.now = at

    async def _settle(self) -> None:
        self._standing = await self._steps.settled(self.progress.now)
        self.progress.events = self._standing.changes
        self.progress.steps = self._steps.count
        self.progress.step_seconds = self._steps.seconds
        self._tell(self.progress)

    def _plan(self, acts: Sequence[Act]) -> None:
        for act in acts:
            heapq.heappush(self._agenda, act)

    async def _look(self, person: Person, now: datetime) -> None:
        """Somebody looks at their exchanges, and at their invitations once a stay has taken place."""
        if person.gone:
            return
        if not person.is_company or person.saw_changes != self._standing.changes:
            person.saw_changes = self._standing.changes
            await self._see(person, now)
        if person.is_company and (person.business or now < person.open_until):
            pause = person.looks_every if person.business else QUIET_LOOKS
            self._plan([Act(office_hour(now + pause), Does.LOOK, person.number)])

    async def _see(self, person: Person, now: datetime) -> None:
        views: list[View] = await self._programme.get("exchange", "/exchanges", person.token)
        for view in sorted(views, key=lambda view: view["exchange_id"]):
            self._plan(about_exchange(person, view, now, self._choices))
            if person.is_company:
                self._tell_traveller(view, person, now)
        person.business = any(view["stage"] not in ENDED for view in views)
        if any(view["stage"] == "completed" for view in views):
            invitations: list[View] = await self._programme.get("survey", "/invitations", person.token)
            for invitation in sorted(invitations, key=lambda each: each["invitation_id"]):
                self._plan(about_invitation(person, invitation, now, self._choices))

    def _tell_traveller(self, view: View, person: Person, now: datetime) -> None:
        """A company tells its traveller when there is something to sign or to answer; they look the same day."""
        stage, traveller = view["stage"], self._travellers.get(view["traveller_id"])
        news = {"drafted": view["agreement_version"], "completed": "survey"}.get(stage)
        if news is None or traveller is None or person.party(view) != "sender":
            return
        if traveller.decides("told", view["exchange_id"], news):
            self._plan([Act(office_hour(now + timedelta(hours=1)), Does.LOOK, traveller.number)])

    def _reconsidered(self, act: Act) -> Act:
        """Without room left in the window, the sender declines instead of drafting, the host signs what there is."""
        if act.does is not Does.DRAFT or stay(act.seen, self.progress.now, self._choices, act.count):
            return act
        return replace(act, does=Does.DECLINE) if act.count == 1 else replace(act, does=Does.SIGN, count=1)

    async def _do(self, act: Act) -> None:
        """One act. That the programme refuses it is part of the story, and counted."""
        person = self._people.get(act.person)
        if person is not None and person.gone:
            return
        began = time.monotonic()
        try:
            await (self._register(act) if person is None else self._act(act, person))
            self.progress.acts[act.does.name.lower()] += 1
        except Refused as refused:
            self.progress.refusals[f"{act.does.name.lower()}: {refused.rule}"] += 1
        self.progress.act_seconds.append(time.monotonic() - began)

    async def _act(self, act: Act, person: Person) -> None:
        path = f"/exchanges/{act.subject}"
        match act.does:
            case Does.UPDATE | Does.WITHDRAW:
                await self._change_profile(act, person)
            case Does.ACCEPT:
                await self._programme.post("exchange", f"{path}/acceptance", person.token)
            case Does.DECLINE:
                drawn = self._choices.decline_reason(act.subject, person.party(act.seen))
                reason = {"reason": drawn if act.seen["stage"] == "proposed" else "dates"}
                await self._programme.post("exchange", f"{path}/decline", person.token, reason)
            case Does.DRAFT:
                await self._draft(act, person, path)
            case Does.SIGN:
                await self._programme.post("exchange", f"{path}/signatures", person.token, {"version": act.count})
            case Does.CANCEL:
                reason = {"reason": self._choices.cancel_reason(act.subject)}
                await self._programme.post("exchange", f"{path}/cancellation", person.token, reason)
            case Does.COMPLETE:
                days = (midnight(act.seen["last_day"]) - midnight(act.seen["first_day"])).days + 1
                hours = {"training_hours": self._choices.training_hours(act.subject, days)}
                await self._programme.post("exchange", f"{path}/completion", person.token, hours)
            case Does.ANSWER:
                await self._answer(act, person)
            case Does.LOOK | Does.REGISTER:
                raise AssertionError(act)

    async def _register(self, act: Act) -> None:
        company = self._companies[act.person[0]]
        made = await self._programme.register(company.form, company.key)
        stays = company.form["placements"] + company.form["offers"]
        closes = max(midnight(each["window"]["last"]) for each in stays)
        person = Person(act.person, made["company_id"], made["token"], company.looks_every, closes)
        self._people[act.person] = person
        self._profiles[act.person] = made
        for number, placement in enumerate(made["placements"], start=1):
            traveller = Person(
                (company.index, number), placement["traveller_id"], placement["traveller_token"], QUIET_LOOKS, closes
            )
            self._people[traveller.number] = self._travellers[traveller.id] = traveller
        self._plan([Act(office_hour(act.at + company.looks_every), Does.LOOK, act.person)])
        for does, share in ((Does.UPDATE, self._choices.p.update), (Does.WITHDRAW, self._choices.p.withdraw)):
            if self._choices.happens(share, does.name, company.key):
                after = self._choices.after(self._choices.p.days_to_change, does.name, company.key)
                self._plan([Act(office_hour(act.at + after), does, act.person)])

    async def _change_profile(self, act: Act, person: Person) -> None:
        path = f"/companies/{person.id}"
        if act.does is Does.WITHDRAW:
            await self._programme.post("registration", f"{path}/withdrawal", person.token, {"reason": "left"})
            for number, other in self._people.items():
                other.gone = other.gone or number[0] == person.number[0]
            return
        company = self._companies[person.number[0]]
        form = changed(company.form, self._profiles[person.number], self._choices.by("update", company.key))
        await self._programme.put("registration", path, person.token, form)

    async def _draft(self, act: Act, person: Person, path: str) -> None:
        days = stay(act.seen, self.progress.now, self._choices, act.count)
        if days is None:
            raise AssertionError(act)
        first, last = (day.isoformat() for day in days)
        body = {"first_day": first, "last_day": last, "training": act.seen["training"]}
        await self._programme.put("exchange", f"{path}/agreement", person.token, body)

    async def _answer(self, act: Act, person: Person) -> None:
        answers = {"answers": self._choices.answers(act.subject, act.seen["questions"])}
        key = str(uuid5(NAMESPACE, f"{self._choices.seed}/{act.subject}/{act.count}"))
        await self._programme.post("survey", f"/invitations/{act.subject}/submission", person.token, answers, key)
