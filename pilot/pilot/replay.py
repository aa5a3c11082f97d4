"""Plays the companies: steps the programme clock to the next act or due instant; people look, decide and act.

The story depends on the seed alone: what one instant brings is over before the next one comes, acts of an instant run
side by side only where neither can change what the other comes to, and choices are drawn by subject. How fast machines and
processes are changes nothing but the wall-clock figures.
"""

import asyncio
import heapq
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from uuid import uuid5

from laptop.process import together

from pilot.checklists import Checklists, mondays
from pilot.choices import Choices
from pilot.interest import ASKED_AFTER, Interest
from pilot.news import News
from pilot.office import office_hour
from pilot.people import (
    Act,
    Does,
    Person,
    View,
    about_alert,
    about_checklist,
    about_exchange,
    about_forgetting,
    about_interest,
    about_invitation,
    about_validation,
    agreement,
    extended,
    stay,
    still_means,
    training_day,
    verdict,
)
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
    checklists: Checklists = field(default_factory=Checklists)
    interest: Interest = field(default_factory=Interest)
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
        contact_points: Mapping[str, Session],
        until: datetime,
        tell: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        """``contact_points``: the session of each country's."""
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
        for number, (country, session) in enumerate(sorted(contact_points.items()), start=1):
            of_country = Person((-number, 0), country, session, START, SAME_DAY)
            self._people[of_country.number] = self._by_id[country] = of_country
        self._by_address = {company.form["contact"]["email"]: company.index for company in companies}
        self._profiles: dict[tuple[int, int], View] = {}
        self._agenda: list[Act] = [
            *(Act(company.registers_at, Does.REGISTER, (company.index, 0)) for company in companies),
            *(
                Act(monday, Does.OVERSEE, (-number - 1, 0))
                for number in range(len(contact_points))
                for monday in mondays()
            ),
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

        A company's change may end exchanges, so it is over before anybody acts on one; what is done about the same one is done
        in order. Two exchanges have to do with each other only where days are agreed on: that is done one after the other.
        """
        if self._standing.next_due is not None and self._standing.next_due <= at:
            self._set_clock(at)
            await self._settle()
        acts = self._due_acts(at)
        await self._side_by_side(self._look(act, at) for act in acts if act.does is Does.LOOK)
        acts = [self._reconsidered(act, at) for act in (*acts, *self._due_acts(at)) if act.does is not Does.LOOK]
        if not acts:
            return
        if self.progress.now < at:
            self._set_clock(at)
        await self._side_by_side(self._do(act) for act in acts if act.does is Does.OVERSEE)
        acts = [act for act in acts if act.does is not Does.OVERSEE]
        changes = [act for act in acts if act.does.changes_a_company]
        if changes:
            await self._side_by_side(self._do(act) for act in changes)
            await self._settle()
        by_subject: dict[tuple[str, int], list[Act]] = {}
        for act in sorted(act for act in acts if not (act.does.changes_a_company or act.does.may_agree)):
            alone = act.person[0] if act.does.is_about_one_company else -1
            by_subject.setdefault((act.subject, alone), []).append(act)
        await self._side_by_side(self._in_order(each) for each in by_subject.values())
        await self._in_order(sorted(act for act in acts if act.does.may_agree))
        await self._settle()

    def _due_acts(self, at: datetime) -> list[Act]:
        due: list[Act] = []
        while self._agenda and self._agenda[0].at <= at:
            due.append(heapq.heappop(self._agenda))
        return due

    async def _in_order(self, acts: Sequence[Act]) -> None:
        for act in acts:
            await self._do(act)

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
            if id_ in self._by_id:  # not every country has a contact point here
                self._tell_of_news(self._by_id[id_])
        if self.progress.now >= START + ASKED_AFTER:  # nobody is asked sooner
            for address in self._programme.asked_for_interest():
                self._asked_for_interest(self._people[self._by_address[address], 0])
        self.progress.events = self._standing.changes
        self.progress.steps = self._steps.count
        self.progress.step_seconds = self._steps.seconds
        self._tell(self.progress)

    def _tell_of_news(self, person: Person) -> None:
        if not (person.gone or person.will_look):
            person.will_look = True
            self._plan([Act(person.next_look(self.progress.now), Does.LOOK, person.number)])

    def _asked_for_interest(self, person: Person) -> None:
        self.progress.interest.asked.setdefault(person.id, self.progress.now)
        offers = len(self._profiles[person.number]["offers"])
        self._plan(about_interest(person, offers, self.progress.now, self._choices))

    def _plan(self, acts: Sequence[Act]) -> None:
        for act in acts:
            heapq.heappush(self._agenda, act)

    async def _look(self, act: Act, now: datetime) -> None:
        """Somebody looks at their exchanges, and at their invitations once a stay has taken place."""
        person = self._people[act.person]
        person.will_look = False
        if person.gone:
            return
        if person.is_contact_point:
            await self._look_after(person, now)
            return
        views: list[View] = await self._programme.get("exchange", "/exchanges", person.session)
        for view in views:
            self.progress.seen.add((view["exchange_id"], view["stage"]))
            self._plan(about_exchange(person, view, now, self._choices))
            if view["stage"] in ("agreed", "ongoing") and person.decides("checklist", view["exchange_id"]):
                listed: View = await self._programme.get(
                    "exchange", f"/exchanges/{view['exchange_id']}/checklist", person.session
                )
                self.progress.checklists.seen(listed)
                self._plan(about_checklist(person, view, listed["items"], now, self._choices))
        if any(view["stage"] == "completed" for view in views):
            invitations: list[View] = await self._programme.get("survey", "/invitations", person.session)
            for invitation in invitations:
                self._plan(about_invitation(person, invitation, now, self._choices))

    async def _look_after(self, person: Person, now: datetime) -> None:
        """A contact point looks at the agreements that wait for it, and at its alerts."""
        waiting: list[View] = await self._programme.get("exchange", "/exchanges?limit=1000", person.session)
        for view in waiting:
            if view["stage"] == "in_validation" or view["latest_version"] > view["agreement_version"]:
                self._plan(about_validation(person, view, now, self._choices))
        alerts: list[View] = await self._programme.get("exchange", "/alerts", person.session)
        for alert in alerts:
            self._plan(about_alert(person, alert, now, self._choices))

    def _reconsidered(self, act: Act, now: datetime) -> Act:
        """Without room left in the window, the sender declines instead of drafting, the host signs what there is."""
        if act.does is not Does.DRAFT or stay(act.seen, now, self._choices, act.count):
            return act
        if act.count == 1 or act.seen["latest_sent_back"]:
            return replace(act, does=Does.DECLINE)
        return replace(act, does=Does.SIGN, count=act.seen["agreement_version"])

    async def _do(self, act: Act) -> None:
        """One act. That the programme refuses it is part of the story, and counted."""
        person = self._people.get(act.person)
        if person is not None and person.gone and act.does is not Does.ERASE:
            return
        began = time.monotonic()
        try:
            if person is None:
                await self._register(act)
            elif act.does.of_the_stay:
                if not await self._take_part(act, person):
                    return
            elif act.does is Does.REVIEW:
                if not await self._review(act, person):
                    return
            else:
                await self._act(act, person)
            self.progress.acts[act.does.name.lower()] += 1
        except Refused as refused:
            self.progress.refusals[f"{act.does.name.lower()}: {refused.rule}"] += 1
        self.progress.act_seconds.append(time.monotonic() - began)

    async def _act(self, act: Act, person: Person) -> None:
        path = f"/exchanges/{act.subject}"
        match act.does:
            case Does.SUBMIT:
                await self._submit(act, person)
            case Does.ERASE:
                whom = "companies" if person.is_company else "people"
                await self._programme.post("registration", f"/{whom}/{person.id}/erasure", person.session)
                person.gone = True
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
            case Does.APPROVE:
                await self._programme.post("exchange", f"{path}/approval", person.session, {"version": act.count})
            case Does.SEND_BACK:
                remarks = {"version": act.count, "remarks": "Say more about the training."}
                await self._programme.post("exchange", f"{path}/sending-back", person.session, remarks)
            case Does.ACKNOWLEDGE:
                await self._programme.post("exchange", f"/alerts/{act.subject}/acknowledgement", person.session)
            case Does.TICK:
                ticked: View = await self._programme.post(
                    "exchange", f"{path}/checklist/{act.seen['item']}/done", person.session
                )
                self.progress.checklists.seen(ticked)
            case Does.OVERSEE:
                risks = await self._programme.pages("exchange", "/risks", person.session)
                self.progress.checklists.late(act.at, risks)
            case Does.CONFIRM:
                await self._programme.post("registration", f"/companies/{person.id}/interest", person.session)
                self.progress.interest.confirmed.add(person.id)
            case Does.RENEW:
                await self._renew(act, person)
            case Does.ANSWER:
                await self._answer(act, person)
            case Does.DECLINE_SURVEY:
                await self._programme.post("survey", f"/invitations/{act.subject}/decline", person.session)
            case _:
                raise AssertionError(act)

    async def _take_part(self, act: Act, person: Person) -> bool:
        """Something about a stay, by somebody who looks before; False if there is nothing to do any more."""
        path, session, today = f"/exchanges/{act.subject}", person.session, self.progress.now.date()
        view: View = await self._programme.get("exchange", path, session)
        if not still_means(person, act, view, today):
            return False
        match act.does:
            case Does.ARRIVE:
                late = self._choices.happens(self._choices.p.arrive_late, "arrives late", act.subject)
                day = date.fromisoformat(view["first_day"]) + timedelta(days=late)
                body = {"day": min(day, today).isoformat()}
                await self._programme.put("exchange", f"{path}/arrival", session, body)
            case Does.RECORD:
                skill = self._choices.by("trained", act.subject, act.count).choice(view["training"]["skills"])
                given_by = "host" if view["training"]["direction"] == "traveller" else "traveller"
                hours = self._choices.training_hours(f"{act.subject}/{act.count}", 7)
                body = {"hours": min(hours, 12), "given_by": given_by}
                await self._programme.put(
                    "exchange", f"{path}/training-record/{training_day(act, view)}/{skill}", session, body
                )
            case Does.FIT:
                fits = self._choices.happens(self._choices.p.fits, "fits", act.subject, person.party(view))
                await self._programme.put("exchange", f"{path}/fit", session, {"fits": fits})
            case Does.INTERRUPT:
                reason = {"reason": self._choices.interrupt_reason(act.subject)}
                await self._programme.post("exchange", f"{path}/interruption", session, reason)
            case Does.RESUME:
                await self._programme.post("exchange", f"{path}/resumption", session)
            case Does.END_EARLY:
                await self._programme.post("exchange", f"{path}/early-end", session)
            case Does.EXTEND:
                versions: list[View] = await self._programme.get("exchange", f"{path}/agreement/versions", session)
                body = extended(versions[-1]["content"], view, self._choices)
                await self._programme.put("exchange", f"{path}/agreement", session, body)
            case Does.COMPLETE:
                await self._programme.post("exchange", f"{path}/completion", session)
            case _:
                raise AssertionError(act)
        return True

    async def _register(self, act: Act) -> None:
        """A draft, from some with gaps; it is submitted later."""
        company, p = self._companies[act.person[0]], self._choices.p
        gaps = {"accounts", "related"} if self._choices.happens(p.draft_with_gaps, "gaps", company.key) else set[str]()
        draft = {name: said for name, said in company.first.items() if name not in gaps}
        made, session = await self._programme.register(draft, company.key)
        person = Person(act.person, made["company_id"], session, act.at, company.looks_every)
        self._people[act.person] = self._by_id[person.id] = person
        at = office_hour(act.at + self._choices.after(p.days_to_submit, "submit", company.key))
        self._plan([Act(at, Does.SUBMIT, act.person, seen=made)])

    async def _submit(self, act: Act, person: Person) -> None:
        """What was drafted with gaps, or sent back, is written whole before."""
        company, path = self._companies[act.person[0]], f"/companies/{person.id}"
        form = company.form if act.count else company.first
        if act.count or act.seen["missing"]:
            body = {name: said for name, said in form.items() if name != "contact"}
            await self._programme.put("registration", path, person.session, body)
        made = await self._programme.submit(person.id, person.session)
        if not act.count:
            self._bring_travellers(act, person, made, form["placements"])
        self._profiles[act.person] = made
        if made["status"] == "admitted":
            self._joined(act)
            return
        at = office_hour(act.at + self._choices.after(self._choices.p.days_to_review, "review", company.key, act.count))
        self._plan([Act(at, Does.REVIEW, act.person, count=act.count)])

    def _bring_travellers(self, act: Act, company: Person, made: View, said: Sequence[View]) -> None:
        """They sign in by a link to their address when they first do something, and go on with their company's trace."""
        for number, (placement, form) in enumerate(zip(made["placements"], said, strict=True), start=1):
            number_of, id_ = (act.person[0], number), placement["traveller_id"]
            session = Session(form["traveller"]["email"], trace=company.session.trace)
            self._people[number_of] = self._by_id[id_] = Person(number_of, id_, session, act.at, SAME_DAY)

    async def _review(self, act: Act, person: Person) -> bool:
        """The contact point of the company's country looks at its queue, and decides by what the rules left open.

        False if it has nothing to decide: the rules had waited for the company's VAT number alone.
        """
        company = self._companies[act.person[0]]
        session = self._by_id[company.form["country"]].session
        queue = await self._programme.pages("registration", "/reviews", session)
        review = next((each for each in queue if each["company_id"] == person.id), None)
        if review is None:
            self._joined(act)
            return False
        decision, reason, remarks = verdict(review)
        body = {"revision": review["revision"], "decision": decision, "reason": reason, "remarks": remarks}
        await self._programme.post("registration", f"/companies/{person.id}/decision", session, body)
        self.progress.acts[f"review: {decision}"] += 1
        if decision == "admit":
            self._joined(act)
        elif decision == "reject":
            self._gone(person)
        else:
            after = self._choices.after(self._choices.p.days_to_correct, "correct", company.key)
            self._plan([Act(office_hour(act.at + after), Does.SUBMIT, act.person, count=act.count + 1)])
        return True

    def _joined(self, act: Act) -> None:
        """What an admitted company means to do at some time."""
        company = self._companies[act.person[0]]
        for does, share in ((Does.UPDATE, self._choices.p.update), (Does.WITHDRAW, self._choices.p.withdraw)):
            if self._choices.happens(share, does.name, company.key):
                after = self._choices.after(self._choices.p.days_to_change, does.name, company.key)
                self._plan([Act(office_hour(act.at + after), does, act.person)])

    def _gone(self, person: Person) -> None:
        for number, other in self._people.items():
            other.gone = other.gone or number[0] == person.number[0]

    async def _change_profile(self, act: Act, person: Person) -> None:
        path = f"/companies/{person.id}"
        if act.does is Does.WITHDRAW:
            await self._programme.post("registration", f"{path}/withdrawal", person.session, {"reason": "left"})
            self.progress.interest.left.add(person.id)
            self._gone(person)
            self._plan(about_forgetting(person, person.id, act.at, self._choices.p.erase_company, self._choices))
            return
        company = self._companies[person.number[0]]
        form = changed(company.form, self._profiles[person.number], self._choices.by("update", company.key))
        await self._programme.put("registration", path, person.session, form)

    async def _renew(self, act: Act, person: Person) -> None:
        """The same places, for another year."""
        offer, today = self._profiles[person.number]["offers"][act.count], self.progress.now.date()
        window = {"first": today.isoformat(), "last": (today + timedelta(days=365)).isoformat()}
        path = f"/companies/{person.id}/stays/{offer['offer_id']}/renewal"
        await self._programme.post("registration", path, person.session, {"window": window})

    async def _draft(self, act: Act, person: Person, path: str) -> None:
        days = stay(act.seen, self.progress.now, self._choices, act.count)
        if days is None:
            raise AssertionError(act)
        body = agreement(act.seen, days, self._choices, act.count)
        await self._programme.put("exchange", f"{path}/agreement", person.session, body)

    async def _answer(self, act: Act, person: Person) -> None:
        answers = {"answers": self._choices.answers(act.subject, act.seen["questions"])}
        key = str(uuid5(NAMESPACE, f"{self._choices.seed}/{act.subject}/{act.count}"))
        path = f"/invitations/{act.subject}"
        if not act.count and self._choices.happens(self._choices.p.save_draft, "draft of answers", act.subject):
            await self._programme.put("survey", f"{path}/draft", person.session, answers)
        await self._programme.post("survey", f"{path}/submission", person.session, answers, key)
