"""Plays the companies: steps the programme clock to the next act or due instant; people look, decide and act.

The story depends on the seed alone: what one instant brings is over before the next one comes, acts of an instant run
side by side only where neither can change what the other comes to, and choices are drawn by subject. How fast machines and
processes are changes nothing but the wall-clock figures.
"""

import asyncio
import heapq
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import uuid5

from laptop.process import together

from pilot.choices import Choices
from pilot.news import News
from pilot.office import office_hour
from pilot.people import Act, Does, Person, View, about_exchange, about_invitation, midnight, stay
from pilot.population import NAMESPACE, START, Company, changed
from pilot.programme import Programme, Refused
from pilot.sessions import Session
from pilot.steps import Standing, Steps

AT_ONCE = 8
"""Requests on their way at a time."""
SAME_DAY = timedelta(hours=1)
"""How often a traveller looks who has news."""


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
    seen: set[tuple[str, str]] = field(default_factory=set)
    """Exchange and stage, as companies have seen them."""
    stepped: dict[datetime, datetime] = field(default_factory=dict)
    """Programme instant to the time of day at which the clock was set to it."""
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
        news: News,
        until: datetime,
        tell: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self._companies = companies
        self._choices = choices
        self._programme = programme
        self._steps = steps
        self._news = news
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._until = until
        self._tell = tell
        self._people: dict[tuple[int, int], Person] = {}
        self._by_id: dict[str, Person] = {}
        self._profiles: dict[tuple[int, int], View] = {}
        self._agenda: list[Act] = [
            Act(company.registers_at, Does.REGISTER, (company.index, 0)) for company in companies
        ]
        heapq.heapify(self._agenda)
        self._standing = Standing(None, 0, {})
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
        """All that happens at one instant: first what is due, then what people do. Looking alone needs no step.

        A company's change may end exchanges, so it is over before anybody acts on one; two exchanges have nothing to do with
        each other, and what is done about the same one is done in order.
        """
        if self._standing.next_due is not None and self._standing.next_due <= at:
            self._set_clock(at)
            await self._settle()
        acts = self._due_acts(at)
        await self._side_by_side(self._look(act, at) for act in acts if act.does is Does.LOOK)
        acts = [act for act in (*acts, *self._due_acts(at)) if act.does is not Does.LOOK]
        if not acts:
            return
        if self.progress.now < at:
            self._set_clock(at)
        changes = [act for act in acts if act.does.changes_a_company]
        if changes:
            await self._side_by_side(self._do(act) for act in changes)
            await self._settle()
        by_subject: dict[tuple[str, int], list[Act]] = {}
        for act in sorted(act for act in acts if not act.does.changes_a_company):
            alone = act.person[0] if act.does is Does.REGISTER else -1
            by_subject.setdefault((act.subject, alone), []).append(act)
        await self._side_by_side(self._in_order(each) for each in by_subject.values())
        await self._settle()

    def _due_acts(self, at: datetime) -> list[Act]:
        due: list[Act] = []
        while self._agenda and self._agenda[0].at <= at:
            due.append(heapq.heappop(self._agenda))
        return due

    async def _in_order(self, acts: Sequence[Act]) -> None:
        for act in acts:
            await self._do(self._reconsidered(act))

    async def _side_by_side(self, works: Iterable[Awaitable[None]]) -> None:
        async def bounded(work: Awaitable[None]) -> None:
            async with self._at_once:
                await work

        await together(*map(bounded, works))

    def _set_clock(self, at: datetime) -> None:
        """Nothing is due before ``at``: whoever does something from now on reads the new time, and there is no need to wait."""
        self.progress.stepped.setdefault(at, datetime.now(UTC))
        self._steps.to(at)
        self.progress.now = at

    async def _settle(self) -> None:
        """Waits until all that follows has happened; who has news by then plans to look at it."""
        self._standing = await self._steps.settled(self.progress.now)
        for id_ in await self._news.up_to(self._standing.ends):
            self._tell_of_news(self._by_id[id_])
        self.progress.events = self._standing.changes
        self.progress.steps = self._steps.count
        self.progress.step_seconds = self._steps.seconds
        self._tell(self.progress)

    def _tell_of_news(self, person: Person) -> None:
        if not (person.gone or person.will_look):
            person.will_look = True
            self._plan([Act(person.next_look(self.progress.now), Does.LOOK, person.number)])

    def _plan(self, acts: Sequence[Act]) -> None:
        for act in acts:
            heapq.heappush(self._agenda, act)

    async def _look(self, act: Act, now: datetime) -> None:
        """Somebody looks at their exchanges, and at their invitations once a stay has taken place."""
        person = self._people[act.person]
        person.will_look = False
        if person.gone:
            return
        views: list[View] = await self._programme.get("exchange", "/exchanges", person.session)
        for view in views:
            self.progress.seen.add((view["exchange_id"], view["stage"]))
            self._plan(about_exchange(person, view, now, self._choices))
        if any(view["stage"] == "completed" for view in views):
            invitations: list[View] = await self._programme.get("survey", "/invitations", person.session)
            for invitation in invitations:
                self._plan(about_invitation(person, invitation, now, self._choices))

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
                await self._programme.post("exchange", f"{path}/acceptance", person.session)
            case Does.DECLINE:
                drawn = self._choices.decline_reason(act.subject, person.party(act.seen))
                reason = {"reason": drawn if act.seen["stage"] == "proposed" else "dates"}
                await self._programme.post("exchange", f"{path}/decline", person.session, reason)
            case Does.DRAFT:
                await self._draft(act, person, path)
            case Does.SIGN:
                await self._programme.post("exchange", f"{path}/signatures", person.session, {"version": act.count})
            case Does.CANCEL:
                reason = {"reason": self._choices.cancel_reason(act.subject)}
                await self._programme.post("exchange", f"{path}/cancellation", person.session, reason)
            case Does.COMPLETE:
                days = (midnight(act.seen["last_day"]) - midnight(act.seen["first_day"])).days + 1
                hours = {"training_hours": self._choices.training_hours(act.subject, days)}
                await self._programme.post("exchange", f"{path}/completion", person.session, hours)
            case Does.ANSWER:
                await self._answer(act, person)
            case Does.LOOK | Does.REGISTER:
                raise AssertionError(act)

    async def _register(self, act: Act) -> None:
        company = self._companies[act.person[0]]
        made, session = await self._programme.register(company.form, company.key)
        person = Person(act.person, made["company_id"], session, act.at, company.looks_every)
        self._people[act.person] = self._by_id[person.id] = person
        self._profiles[act.person] = made
        for number, (placement, said) in enumerate(zip(made["placements"], company.form["placements"], strict=True), 1):
            number_of, id_ = (company.index, number), placement["traveller_id"]
            session = Session(said["traveller"]["email"], trace=session.trace)
            self._people[number_of] = self._by_id[id_] = Person(number_of, id_, session, act.at, SAME_DAY)
        for does, share in ((Does.UPDATE, self._choices.p.update), (Does.WITHDRAW, self._choices.p.withdraw)):
            if self._choices.happens(share, does.name, company.key):
                after = self._choices.after(self._choices.p.days_to_change, does.name, company.key)
                self._plan([Act(office_hour(act.at + after), does, act.person)])

    async def _change_profile(self, act: Act, person: Person) -> None:
        path = f"/companies/{person.id}"
        if act.does is Does.WITHDRAW:
            await self._programme.post("registration", f"{path}/withdrawal", person.session, {"reason": "left"})
            for number, other in self._people.items():
                other.gone = other.gone or number[0] == person.number[0]
            return
        company = self._companies[person.number[0]]
        form = changed(company.form, self._profiles[person.number], self._choices.by("update", company.key))
        await self._programme.put("registration", path, person.session, form)

    async def _draft(self, act: Act, person: Person, path: str) -> None:
        days = stay(act.seen, self.progress.now, self._choices, act.count)
        if days is None:
            raise AssertionError(act)
        first, last = (day.isoformat() for day in days)
        body = {"first_day": first, "last_day": last, "training": act.seen["training"]}
        await self._programme.put("exchange", f"{path}/agreement", person.session, body)

    async def _answer(self, act: Act, person: Person) -> None:
        answers = {"answers": self._choices.answers(act.subject, act.seen["questions"])}
        key = str(uuid5(NAMESPACE, f"{self._choices.seed}/{act.subject}/{act.count}"))
        await self._programme.post("survey", f"/invitations/{act.subject}/submission", person.session, answers, key)
