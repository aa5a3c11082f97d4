"""What companies do while the system is struck: bounded, seeded load over public HTTP, each request repeated until answered.

In a round a few groups of companies compete for few places: they register, change what they say, accept or decline, draft, sign,
complete and answer the survey, while strangers keep coming by. All that was answered with success is a promise.
"""

import asyncio
import json
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
from joserfc import jws
from laptop import mails
from laptop.clock import StoppedClock
from laptop.process import until
from sojourn_contracts.skills import SKILLS

from tests.faults.public import PATIENCE, Public, expect

START = datetime(2027, 3, 1, 12, tzinfo=UTC)
GROUPS = 3
STRANGERS = 60
"""Who come one after the other as long as the round lasts, at most so many."""
STAY = timedelta(days=14)

Form = dict[str, Any]
_SKILLS = sorted(SKILLS)
FITS_NOBODY: Form = {"capacity": 1, "skills_taught": [_SKILLS[-1]], "skills_needed": []}
"""An offer."""


@dataclass
class Promises:
    """What was answered with success, in all rounds, and so holds for good."""

    names: list[str] = field(default_factory=list)
    """Of every company that ever asked to be registered."""
    companies: dict[str, str] = field(default_factory=dict)
    """Name to id."""
    revisions: set[tuple[str, int]] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    accepted: set[tuple[str, str]] = field(default_factory=set)
    """Exchange and side."""
    declined: set[str] = field(default_factory=set)
    signed: set[tuple[str, int, str]] = field(default_factory=set)
    """Exchange, version and party."""
    completed: set[str] = field(default_factory=set)
    submitted: set[str] = field(default_factory=set)
    """Invitations."""


class Story:
    """One round of it."""

    def __init__(self, public: Public, mails: Path, clock: StoppedClock, promises: Promises, seed: str) -> None:
        self.public = public
        self.mails = mails
        """The folder of the run, where everybody's mail is caught."""
        self.clock = clock
        self.promises = promises
        self.seed = seed
        self.chance = random.Random(seed)
        self.over = asyncio.Event()
        self.seen: dict[str, set[str]] = {}
        """Stage to exchanges that were seen at it."""
        self.submitted = 0

    @property
    def today(self) -> date:
        return self.clock.now.date()

    async def play(self, number: int) -> None:
        """Everybody acts until the story is over, and finishes what they are at."""
        async with asyncio.TaskGroup() as together:
            for company in competitors(self, number):
                together.create_task(company.live())
            for stranger in strangers(self, number):
                if self.over.is_set():
                    break
                together.create_task(stranger.pass_by())
                await self.pause(0.2)

    async def turn(self) -> None:
        """Steps programme time as the story gets on: to the first day of a stay, and past the last one of it.

        Raises:
            AssertionError: it does not get on.
        """
        await self._reaches("two agreements", lambda: len(self.seen.get("agreed", ())) >= 2)
        self.clock.set(self.clock.now + timedelta(days=1))
        await self._reaches("a stay", lambda: bool(self.seen.get("ongoing")))
        self.clock.set(self.clock.now + STAY)
        await self._reaches("an answered survey", lambda: self.submitted >= 1)

    async def _reaches(self, what: str, reached: Any) -> None:
        if not await until(reached, PATIENCE):
            seen = {stage: len(exchanges) for stage, exchanges in self.seen.items()}
            raise AssertionError(f"the story does not get to {what}; seen so far: {seen}, {dict(self.public.answers)}")

    async def pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.over.wait()

    def decides(self, share: float, *about: str) -> bool:
        """The same however often it is asked."""
        return random.Random("/".join((self.seed, *about))).random() < share


def competitors(story: Story, number: int) -> list["Company"]:
    """Per group a host with two places and three that would send somebody."""
    found: list[Company] = []
    for group in range(GROUPS):
        skill = _SKILLS[(number * GROUPS + group) % (len(_SKILLS) - 1)]
        offer = {"capacity": 2, "skills_taught": [skill], "skills_needed": []}
        found.append(_company(story, f"Host {group} of round {number}", "DE", offers=[offer]))
        for sender in range(3):
            placement = {
                "traveller": {"name": "Ana", "email": f"ana.{number}.{group}.{sender}@example.org", "reads": "de"},
                "destinations": ["DE"],
                "skills_brought": [],
                "skills_sought": [skill],
            }
            found.append(_company(story, f"Sender {group}.{sender} of round {number}", "ES", placements=[placement]))
    found[-1].leaves = True
    return found


def strangers(story: Story, number: int) -> Iterator["Company"]:
    """Hosts whom nothing fits."""
    for stranger in range(STRANGERS):
        yield _company(story, f"Stranger {stranger} of round {number}", "FR", offers=[FITS_NOBODY])


def _company(story: Story, name: str, country: str, **stays: list[Form]) -> "Company":
    return Company(story, form(name, country, story.today, **stays))


def form(name: str, country: str, today: date, **stays: list[Form]) -> Form:
    """Of a company that is admitted by the rules alone; of its ``placements`` and ``offers``, what is not common to all."""
    languages = [{"language": "en", "level": "C1"}]
    common = {
        "languages": languages,
        "window": {"first": today.isoformat(), "last": (today + timedelta(days=45)).isoformat()},
        "min_days": STAY.days,
        "max_days": STAY.days + 6,
    }
    of_company = {
        "name": name,
        "country": country,
        "region": country,
        "nace": "62.10",
        "size_class": "small",
        "accounts": [{"headcount": 30, "turnover": 4_000_000, "balance_sheet": 3_000_000}],
        "learning_only": True,
        "contact": {"name": "Uwe", "email": "uwe@example.org", "reads": "en"},
        "languages": languages,
        "placements": [],
        "offers": [],
    }
    return of_company | {kind: [common | each for each in given] for kind, given in stays.items()}


class Company:
    """One that takes part, with its traveller."""

    def __init__(self, story: Story, form: Form) -> None:
        self.leaves = False
        self._story = story
        self._public = story.public
        self._promises = story.promises
        self._form = form
        self._changes = 0
        self._gone = False
        self.id = self._token = self._traveller_id = ""
        self._travellers_tokens: dict[str, str] = {}
        """By the travellers' ids: a placement that is replaced has another one."""
        self._opened: set[int] = set()
        """Mails whose links were tried."""

    @property
    def name(self) -> str:
        return self._form["name"]

    async def live(self) -> None:
        """Comes, looks, and acts on what it sees, until the story is over."""
        await self._story.pause(self._story.chance.uniform(0, 2))
        await self._register()
        looks = 0
        while not (self._story.over.is_set() or self._gone):
            await self._look()
            looks += 1
            if self._changes < 2 and self._story.chance.random() < 0.1:
                await self._change()
            if self.leaves and looks == 6:
                await self._leave()
            await self._story.pause(self._story.chance.uniform(0.3, 0.6))

    async def pass_by(self) -> None:
        """Registers, changes its mind once, and is not heard of again."""
        await self._register()
        await self._change()

    async def _register(self) -> None:
        self._promises.names.append(self.name)
        key = f"registration-of-{self.name}".replace(" ", "-")
        made: dict[str, Any] = {}
        for _ in range(2 if self._story.decides(0.3, self.name, "asks again") else 1):
            answer = await self._public.ask("registration", "POST", "/companies", body=self._form, key=key)
            expect(answer)
            again, made = made, answer.json()
            assert not again or again["company_id"] == made["company_id"]
        self.id, self._token = made["company_id"], made["access_token"]
        answer = await self._ask("registration", "POST", f"/companies/{self.id}/submission")
        expect(answer)
        made = answer.json()
        assert made["status"] == "admitted"
        self._traveller_id = next((each["traveller_id"] for each in made["placements"]), "")
        self._promises.companies[self.name] = self.id
        self._promises.revisions.add((self.id, made["revision"]))

    async def _change(self) -> None:
        """Other wishes; now and then a host puts another offer in the place of its own."""
        self._changes += 1
        view = (await self._ask("registration", "GET", f"/companies/{self.id}")).json()
        replaced = self._story.chance.random() < 0.1
        wishes = [self._story.chance.choice(["10", "25", "47", "62", "86"])]

        def changed(stay: Form, held: Form, id_: str) -> Form:
            return stay | {"preferred_sectors": wishes} | ({} if replaced else {id_: held[id_]})

        form = self._form | {
            kind: [changed(*both, id_) for both in zip(self._form[kind], view[kind], strict=True)]
            for kind, id_ in (("placements", "placement_id"), ("offers", "offer_id"))
        }
        answer = await self._ask("registration", "PUT", f"/companies/{self.id}", form)
        # 422: a request that was given up for lost came after all, and replaced what this one still names
        if expect(answer, 422):
            made = answer.json()
            self._promises.revisions.add((self.id, made["revision"]))
            self._traveller_id = next((each["traveller_id"] for each in made["placements"]), "")

    async def _leave(self) -> None:
        expect(await self._ask("registration", "POST", f"/companies/{self.id}/withdrawal", {"reason": "left"}))
        self._promises.left.add(self.id)
        self._gone = True

    async def _look(self) -> None:
        for view in (await self._ask("exchange", "GET", "/exchanges")).json():
            self._story.seen.setdefault(view["stage"], set()).add(view["exchange_id"])
            await self._act(view, "sender" if view["sender_id"] == self.id else "host")

    async def _act(self, view: dict[str, Any], side: str) -> None:
        match view["stage"]:
            case "proposed" if side not in view["accepted_by"]:
                await self._reply(view, side)
            case "accepted" if side == "sender":
                await self._draft(view)
            case "drafted":
                if date.fromisoformat(view["first_day"]) >= self._story.today:
                    await self._sign(view, side)
                elif side == "sender":
                    await self._draft(view)
            case "ongoing" if date.fromisoformat(view["last_day"]) < self._story.today:
                await self._complete(view)
            case "completed":
                await self._answer(view["exchange_id"])
            case _:
                pass

    async def _reply(self, view: dict[str, Any], side: str) -> None:
        id_ = view["exchange_id"]
        if self._story.decides(0.12, id_, side):
            answer = await self._ask("exchange", "POST", f"/exchanges/{id_}/decline", {"reason": "dates"})
            if expect(answer, 409):
                self._promises.declined.add(id_)
        elif expect(await self._ask("exchange", "POST", f"/exchanges/{id_}/acceptance"), 409):
            self._promises.accepted.add((id_, side))

    async def _draft(self, view: dict[str, Any]) -> None:
        first = self._story.today + timedelta(days=1)
        last = first + STAY - timedelta(days=1)
        body = {
            "goals": "Learns the trade",
            "training": [
                {
                    "learner": view["training"]["direction"],
                    "skills": view["training"]["skills"],
                    "hours": 40,
                    "given_by": "outside",
                }
            ],
            "tasks": ["Takes part in the work"],
            "working_language": "en",
            "parts": [{"first_day": first.isoformat(), "last_day": last.isoformat()}],
            "workplace": "The host's site",
            "supervision": "A mentor",
            "insurance": {"health": "sender", "accident": "sender", "liability": "host"},
        }
        # 422: meanwhile these days are past
        expect(await self._ask("exchange", "PUT", f"/exchanges/{view['exchange_id']}/agreement", body), 409, 422)

    async def _sign(self, view: dict[str, Any], side: str) -> None:
        id_, version = view["exchange_id"], view["agreement_version"]
        parties = {side: self._token} | ({"traveller": await self._travellers_token()} if side == "sender" else {})
        for party, token in parties.items():
            if party not in view["signed_by"]:
                body = {"version": version}
                answer = await self._public.ask("exchange", "POST", f"/exchanges/{id_}/signatures", token, body)
                # 403: the placement was replaced, and so was its traveller
                if expect(answer, 409, 403 if party == "traveller" else 409):
                    self._promises.signed.add((id_, version, party))

    async def _complete(self, view: dict[str, Any]) -> None:
        path, entry = f"/exchanges/{view['exchange_id']}", f"{view['last_day']}/{view['training']['skills'][0]}"
        hours = {"hours": 8, "given_by": "outside"}
        # 409: the other side has confirmed
        expect(await self._ask("exchange", "PUT", f"{path}/training-record/{entry}", hours), 409)
        answer = await self._ask("exchange", "POST", f"{path}/completion")
        if expect(answer, 409) and answer.json()["stage"] == "completed":
            self._promises.completed.add(view["exchange_id"])

    async def _answer(self, exchange_id: str) -> None:
        for token in filter(None, (self._token, await self._travellers_token())):
            invitations = (await self._public.ask("survey", "GET", "/invitations", token)).json()
            for invitation in invitations:
                id_ = invitation["invitation_id"]
                if invitation["exchange_id"] != exchange_id or id_ in self._promises.submitted:
                    continue
                answers = {
                    each["code"]: next(iter(each["answers"])) for each in invitation["questions"] if each["required"]
                }
                path, body = f"/invitations/{id_}/submission", {"answers": answers}
                expect(await self._public.ask("survey", "POST", path, token, body, f"submission-{id_}"))
                self._promises.submitted.add(id_)
                self._story.submitted += 1

    async def _travellers_token(self) -> str:
        """The traveller's, who signs in by a link. One whose answer was lost is used up: then another one is asked for."""
        if not self._traveller_id:
            return ""
        address = self._form["placements"][0]["traveller"]["email"]
        deadline = time.monotonic() + PATIENCE
        while self._traveller_id not in self._travellers_tokens:
            assert time.monotonic() < deadline, f"{address} cannot sign in"
            expect(await self._public.ask("registration", "POST", "/sign-in", body={"email": address}))
            await until(lambda: len(self._links(address)) > 0, 5)
            for mail in self._links(address):
                self._opened.add(mail.number)
                link = dict(parse_qsl(urlsplit(mail.link or "").fragment))
                answer = await self._public.ask("registration", "POST", "/sessions", body=link)
                if expect(answer, 401):
                    token = answer.json()["access_token"]
                    self._travellers_tokens[_subject(token)] = token
        return self._travellers_tokens[self._traveller_id]

    def _links(self, address: str) -> list[mails.Kept]:
        found = mails.kept(self._story.mails, to=address, template="sign_in")
        return [mail for mail in found if mail.number not in self._opened]

    async def _ask(self, service: str, method: str, path: str, body: Any = None) -> httpx.Response:
        return await self._public.ask(service, method, path, self._token, body)


def _subject(token: str) -> str:
    return json.loads(jws.extract_compact(token.encode()).payload)["sub"]
