"""The companies of a replay: equal for an equal seed, and a larger population begins with the smaller one.

Each company is drawn from a random source of its own, so that nothing depends on how many others there are.
"""

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid5

from sojourn_contracts.skills import SKILLS
from sojourn_contracts.vocabulary import MAX_STAY_DAYS, MIN_STAY_DAYS
from stdnum.eu import vat

from pilot.marginals import (
    CAPACITY,
    COUNTRIES,
    ENGLISH,
    FURTHER_LANGUAGE,
    GROWN,
    IN_A_GROUP,
    LARGE,
    LOOKING,
    NUMBERED,
    OFFERS,
    ONE_PERSON,
    PLACEMENTS,
    SECTORS,
    SIZE_CLASSES,
    STAFF,
    STAYS,
    TURNOVER,
    UNDECLARED,
    UNKNOWN_TO_VIES,
    UNNUMBERED,
    VAT_NUMBERS,
    WISHES,
    drawn,
    several,
    skewed,
)
from pilot.office import office_hour

START = datetime(2016, 11, 1, 7, tzinfo=UTC)
"""When the pilot opened: 1 November 2016."""
PROGRAMME_DAYS = 242
"""The pilot's eight months, to the end of June 2017: no stay is wished for after them."""
REGISTRATION_DAYS = 42
"""Companies register in the first six weeks, most of them early (ASSUMPTION)."""

NAMESPACE = UUID("5f0c1b0e-6a0e-5d0a-9d6b-3b8f6a9c2d11")
Form = dict[str, Any]
"""The body of a registration; see registration's OpenAPI."""


@dataclass(frozen=True)
class Company:
    """One company before it has met the programme."""

    index: int
    key: str
    """Idempotency-Key of its registration, from which registration derives its ids."""
    first: Form
    """What it submits at first; not always what the programme admits."""
    form: Form
    """What the rules alone admit; submitted when it is sent back, and what it changes later."""
    registers_at: datetime
    looks_every: timedelta
    """How often it looks what is new."""

    @property
    def label(self) -> str:
        return f"{self.form['country']} {self.form['nace']} #{self.index}"


def population(count: int, seed: int) -> tuple[Company, ...]:
    """So many companies, always the same ones for a seed."""
    return tuple(_company(index, seed) for index in range(count))


def _company(index: int, seed: int) -> Company:
    by = Random(f"{seed}/company/{index}")
    day = int(REGISTRATION_DAYS * by.betavariate(1.1, 2.2))
    registers_at = office_hour(START + timedelta(days=day, hours=by.randrange(9)))
    country, nace = drawn({code: land.weight for code, land in COUNTRIES.items()}, by), drawn(SECTORS, by)
    size = drawn(SIZE_CLASSES, by)
    wish = "host" if size == "large" else drawn(WISHES, by)
    form = {
        "name": f"{country} {nace} Company {index}",
        "contact": _person(f"Contact {index}", country),
        "country": country,
        "region": by.choice(COUNTRIES[country].regions),
        "nace": nace,
        "size_class": size,
        **_enterprise(size, Random(f"{seed}/enterprise/{index}")),
        "languages": _languages(country, by),
        "placements": [
            _placement(index, number, country, nace, registers_at, by)
            for number in range(drawn(PLACEMENTS, by) if wish != "host" else 0)
        ],
        "offers": [_offer(country, nace, registers_at, by) for _ in range(drawn(OFFERS, by) if wish != "send" else 0)],
    }
    if Random(f"{seed}/looking/{index}").random() < LOOKING:
        form |= {"placements": [], "offers": []}
    first, corrected = _as_submitted(form, Random(f"{seed}/submission/{index}"))
    first, corrected = _numbered(first, corrected, Random(f"{seed}/vat/{index}"))
    return Company(
        index=index,
        key=str(uuid5(NAMESPACE, f"{seed}/company/{index}")),
        first=first,
        form=corrected,
        registers_at=registers_at,
        looks_every=timedelta(days=by.choice((1, 2, 2, 3, 5))),
    )


def _enterprise(size: str, by: Random) -> Form:
    """Accounts of two periods by which a company has its size (ASSUMPTION: anywhere within its class)."""
    staff, euros = STAFF[size], TURNOVER[size]
    accounts = [
        {"headcount": by.randint(*staff), "turnover": by.randint(*euros), "balance_sheet": by.randint(*euros)}
        for _ in range(2)
    ]
    return {"accounts": accounts, "related": [], "learning_only": True}


def _as_submitted(form: Form, by: Random) -> tuple[Form, Form]:
    """The form as it comes in at first, and one that the rules alone admit.

    Somebody forgets the declaration and makes it when told so; somebody belongs to a large group and would send all the
    same; somebody grew beyond an SME in the last year alone, which changes nothing (ASSUMPTION: how many).
    """
    drawn_ = by.random()
    if drawn_ < UNDECLARED:
        return form | {"learning_only": False}, form
    if form["placements"] and drawn_ < UNDECLARED + IN_A_GROUP:
        return form | {"related": [{"relation": "linked", "share": 100, "accounts": [LARGE, LARGE]}]}, form
    if form["placements"] and drawn_ < UNDECLARED + IN_A_GROUP + GROWN:
        return form | {"accounts": [LARGE, form["accounts"][1]]}, form
    return form, form


def _numbered(first: Form, corrected: Form, by: Random) -> tuple[Form, Form]:
    """Both with a VAT number, if the company has one; of the first, it may be missing or mistyped (ASSUMPTION: how many)."""
    alone = first["size_class"] == "micro" and first["accounts"] == corrected["accounts"] and by.random() < ONE_PERSON
    if not alone and by.random() >= NUMBERED:
        return first, corrected
    said: Form = {"vat": vat_number(first["country"], by)}
    if alone:
        said["accounts"] = [period | {"headcount": 1} for period in corrected["accounts"]]
    at_first, drawn_ = dict(said), by.random()
    if alone and drawn_ < UNNUMBERED:
        del at_first["vat"]
    elif drawn_ > 1 - UNKNOWN_TO_VIES:
        at_first["vat"] = vat_number(first["country"], by)
    return first | at_first, corrected | said


def vat_number(country: str, by: Random) -> str:
    """A number with the check digits that its country wants, and the prefix; whose it is, if anybody's, nobody asks."""
    signs = {"#": string.digits, "@": string.ascii_uppercase}
    while True:
        drawn_ = "".join(by.choice(signs.get(sign, sign)) for sign in VAT_NUMBERS[country])
        if vat.is_valid(drawn_) and vat.compact(drawn_) == drawn_:
            return drawn_


def unknown_to_vies(companies: Iterable[Company]) -> frozenset[str]:
    """The numbers that were mistyped."""
    return frozenset(
        company.first["vat"]
        for company in companies
        if company.first.get("vat", "") not in ("", company.form.get("vat"))
    )


def _person(what: str, country: str) -> Form:
    """Somebody with an address that nobody can have, written to in a language that the programme writes."""
    reads = country.lower() if country in ("DE", "FR", "IT") else "de" if country == "AT" else "en"
    return {"name": what, "email": f"{what.lower().replace(' ', '.')}@sme.example", "reads": reads}


def _placement(index: int, number: int, country: str, nace: str, since: datetime, by: Random) -> Form:
    others = {code: land.weight for code, land in COUNTRIES.items() if code != country}
    skills = skill_weights(nace)
    return {
        "traveller": _person(f"Traveller {index}.{number}", country),
        "languages": _languages(country, by),
        "destinations": sorted(several(others, by.randint(5, 12), by)),
        "skills_brought": several(skills, by.randint(3, 5), by),
        "skills_sought": several(skills, by.randint(3, 5), by),
        "preferred_sectors": _preferred(nace, by),
        **_availability(since, by, spare_days=10),
    }


def _offer(country: str, nace: str, since: datetime, by: Random) -> Form:
    skills = skill_weights(nace)
    return {
        "languages": _languages(country, by),
        "capacity": drawn(CAPACITY, by),
        "skills_taught": several(skills, by.randint(4, 6), by),
        "skills_needed": several(skills, by.randint(2, 4), by),
        "preferred_sectors": _preferred(nace, by),
        **_availability(since, by, spare_days=20),
    }


def _availability(since: datetime, by: Random, spare_days: int) -> Form:
    """A window after the registration and inside the programme, and the lengths of stay around the one wished for."""
    wished = drawn(STAYS, by)
    end = START.date() + timedelta(days=PROGRAMME_DAYS)
    first = since.date() + timedelta(days=by.randint(30, 90))
    last = min(end, first + timedelta(days=wished + by.randint(20, 90)))
    return {
        "window": {"first": first.isoformat(), "last": last.isoformat()},
        "min_days": max(MIN_STAY_DAYS, wished - spare_days),
        "max_days": min(MAX_STAY_DAYS, wished + spare_days),
    }


def _languages(country: str, by: Random) -> list[Form]:
    own = COUNTRIES[country].languages
    spoken = {own[0]: "C2"} | dict.fromkeys(own[1:], "B2")
    english = drawn(ENGLISH, by)
    if english and "en" not in spoken:
        spoken["en"] = english
    if by.random() < FURTHER_LANGUAGE:
        further = by.choice(sorted({land.languages[0] for land in COUNTRIES.values()}))
        spoken.setdefault(further, by.choice(("B1", "B2")))
    return [{"language": language, "level": level} for language, level in spoken.items()]


def _preferred(nace: str, by: Random) -> list[str]:
    """NACE divisions: mostly one's own, and up to two more."""
    preferred = {nace[:2]} if by.random() < 0.6 else set[str]()
    preferred |= {other[:2] for other in several(SECTORS, by.randint(0, 2), by)}
    return sorted(preferred)


def skill_weights(nace: str) -> dict[str, int]:
    """How much a sector has to do with each skill (ASSUMPTION): a common skewed demand, and a dozen of its own."""
    ranked = Random("skills").sample(sorted(SKILLS), len(SKILLS))
    own = set(Random(f"skills of {nace[:2]}").sample(ranked, min(12, len(ranked))))
    return {skill: weight * (6 if skill in own else 1) for skill, weight in skewed(ranked).items()}


def changed(form: Form, ids: Mapping[str, Any], by: Random) -> Form:
    """The profile after a change of mind: more destinations, more room, or one more language; the ids are kept."""
    placements = [
        stay | {"placement_id": made["placement_id"]}
        for stay, made in zip(form["placements"], ids["placements"], strict=True)
    ]
    offers = [stay | {"offer_id": made["offer_id"]} for stay, made in zip(form["offers"], ids["offers"], strict=True)]
    if placements and (not offers or by.random() < 0.5):
        placements[0]["destinations"] = sorted(set(COUNTRIES) - {form["country"]})
    elif offers:
        offers[0]["capacity"] += 1
    said = {name: value for name, value in form.items() if name != "contact"}
    if not (placements or offers):
        new = min(
            {land.languages[0] for land in COUNTRIES.values()} - {spoken["language"] for spoken in form["languages"]}
        )
        said["languages"] = [*form["languages"], {"language": new, "level": "B1"}]
    return said | {"placements": placements, "offers": offers}
