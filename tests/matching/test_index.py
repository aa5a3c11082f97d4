"""The index answers what the brute force over the score answers, whatever was added, changed and taken away before."""

import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matching import domain
from matching.domain import Home, OpenOffer, OpenPlacement, Parameters, Weights, score
from matching.index import Candidate, End, Full, Index, layout, loading
from sojourn_contracts.company import HostingOffer, Placement
from sojourn_contracts.vocabulary import Level, Side, Spoken, Window

from benchmarks.market import End as Row
from benchmarks.market import generate, numpy_scan
from tests.matching.market import NOON, PARAMETERS, TODAY, open_offer, open_placement

SKILLS = tuple(f"skill-{letter}" for letter in "abcdef")
COUNTRIES = ("DE", "ES", "FR")
SECTORS = ("10", "25", "61", "62")

ONE_COUNTS = (Weights(90, 1, 1, 1, 0), Weights(40, 1, 1, 1, 60), Weights(1, 0, 1, 60, 1))
"""Weights under which one criterion decides, so that one that is counted wrongly is found out."""

seeds = st.integers(0, 2**32 - 1)


def some(rnd: Random, of: Sequence[str], least: int, most: int) -> tuple[str, ...]:
    return tuple(rnd.sample(of, rnd.randint(least, most)))


def parameters(rnd: Random) -> Parameters:
    """In every second one all skills weigh the same, so that many ends tie."""
    even = rnd.random() < 0.5
    return Parameters(
        today=TODAY,
        rarity={skill: 1 if even else rnd.randint(1, 5_000) for skill in SKILLS},
        related={
            skill: {other: rnd.choice((0, 25, 50, 80)) for other in some(rnd, SKILLS, 0, 3)}
            for skill in some(rnd, SKILLS, 0, 6)
        },
        weights=rnd.choice((Weights(), *ONE_COUNTS)),
        trains_from=rnd.choice((1, 50, 100)),
    )


def an_end(rnd: Random, number: int) -> End:
    """Of few countries, sectors, languages and skills, and seldom hindered by what it says: so many fit."""
    home = Home(UUID(int=number), rnd.choice(COUNTRIES), rnd.choice(SECTORS))
    first = TODAY + timedelta(days=rnd.randint(-30, 30))
    shortest = rnd.randint(14, 20)
    stay: dict[str, Any] = {
        "languages": tuple(
            Spoken(language=language, level=rnd.choice(list(Level)[1:]))
            for language in some(rnd, ("de", "en", "fr"), 1, 2)
        ),
        "window": Window(first=first, last=first + timedelta(days=rnd.choice((10, 40, 90, 120)))),
        "min_days": shortest,
        "max_days": rnd.choice((shortest, 30, 30)),
        "preferred_sectors": some(rnd, SECTORS, 0, 2),
    }
    id_ = UUID(int=rnd.choice((rnd.getrandbits(128), rnd.getrandbits(2) << 126 | number)))
    if rnd.random() < 0.5:
        terms = Placement(
            placement_id=id_,
            traveller_id=UUID(int=number),
            destinations=some(rnd, (*COUNTRIES, "IT"), 0 if rnd.random() < 0.1 else 2, 4),
            skills_sought=some(rnd, (*SKILLS, "unheard-of"), 0, 4),
            skills_brought=some(rnd, (*SKILLS, "unheard-of"), 0, 4),
            **stay,
        )
        return OpenPlacement(terms, home, taken=rnd.random() < 0.1)
    offer = HostingOffer(
        offer_id=id_,
        capacity=rnd.choice((0, 1, 2, 2, 2)),
        skills_taught=some(rnd, (*SKILLS, "unheard-of"), 0, 4),
        skills_needed=some(rnd, (*SKILLS, "unheard-of"), 0, 4),
        **stay,
    )
    return OpenOffer(offer, home, held=rnd.choice((0, 0, 1)))


def best(end: End, market: Sequence[End], k: int, with_: Parameters) -> list[Candidate]:
    """The brute force."""
    fits: list[tuple[int, UUID]] = []
    for other in market:
        match end, other:
            case OpenPlacement(), OpenOffer():
                fit = score(end, other, with_)
            case OpenOffer(), OpenPlacement():
                fit = score(other, end, with_)
            case _:
                continue
        if fit:
            fits.append((-fit.value, other.id))
    return [Candidate(id_, -value) for value, id_ in sorted(fits)[:k]]


@given(seeds)
@settings(max_examples=80, deadline=None)
def test_the_best_are_those_of_the_brute_force_after_any_history(seed: int):
    rnd = Random(seed)
    with_ = parameters(rnd)
    index, market = Index(with_, room=400), dict[UUID, End]()
    for number in range(rnd.choice((4, 20, 120))):
        end = an_end(rnd, number)
        index.add(end)
        market[end.id] = end
        change, other = rnd.randint(0, 5), rnd.choice(sorted(market))
        if change == 0:
            index.remove(other)
            del market[other]
        elif change == 1:
            market[other] = changed(rnd, market[other], an_end(rnd, number), sorted(market))
            index.update(market[other])
    assert len(index) == len(market)
    later = replace(with_, today=TODAY + timedelta(days=rnd.randint(-10, 30)))
    k, stranger = rnd.choice((1, 1, 2, 50)), an_end(rnd, 1_000)
    for end in (*market.values(), stranger):
        wanted = best(end, list(market.values()), k, later)
        assert index.candidates(end, k, later.today) == wanted
        if end is not stranger:
            assert index.candidates(end.id, k, later.today) == wanted


def changed(rnd: Random, end: End, other: End, known: Sequence[UUID]) -> End:
    """The end with what another one of the same side says of it; or it met some, or one more place of it is held."""
    if isinstance(end, OpenPlacement):
        if isinstance(other, OpenPlacement):
            terms = other.terms.model_copy(update={"placement_id": end.terms.placement_id})
            return OpenPlacement(terms, other.home, other.taken, frozenset(rnd.sample(known, min(len(known), 5))))
        return replace(end, met=frozenset(rnd.sample(known, min(len(known), 5))))
    if isinstance(other, OpenOffer):
        return OpenOffer(other.terms.model_copy(update={"offer_id": end.terms.offer_id}), other.home, other.held)
    return replace(end, held=end.held + 1)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_what_postgresql_copies_out_is_what_was_added_one_by_one(seed: int):
    rnd = Random(seed)
    with_ = parameters(rnd)
    market = [an_end(rnd, number) for number in range(40)]
    one_by_one, copied = Index(with_, room=200), Index(with_, room=200)
    for end in market:
        one_by_one.add(end)
    size = rnd.randint(1, 4_000)
    for side in (OpenPlacement, OpenOffer):
        copying = copied.copying(side)
        rows = copied_out([end for end in market if isinstance(end, side)])
        for start in range(0, len(rows), size):
            copying.take(rows[start : start + size])
        assert copying.whole
    for end in market:
        assert copied.candidates(end.id, 9, TODAY) == one_by_one.candidates(end.id, 9, TODAY)


def copied_out(market: Sequence[End]) -> bytes:
    """As PostgreSQL writes it; see the manual on COPY, file formats, binary."""

    def field(value: bytes) -> bytes:
        return struct.pack(">i", len(value)) + value

    def texts(values: Sequence[str]) -> bytes:
        if not values:
            return field(struct.pack(">iii", 0, 0, 25))
        return field(
            struct.pack(">iiiii", 1, 0, 25, len(values), 1) + b"".join(field(each.encode()) for each in values)
        )

    def day(value: date) -> bytes:
        return field(struct.pack(">i", (value - date(2000, 1, 1)).days))

    def row(end: End) -> bytes:
        terms = end.terms
        open_ = not end.taken if isinstance(end, OpenPlacement) else end.held < end.terms.capacity
        return b"".join(
            (
                struct.pack(">h", 13),
                field(end.id.bytes),
                field(end.home.country.encode()),
                field(end.home.sector.encode()),
                day(terms.window.first),
                day(terms.window.last),
                field(struct.pack(">i", terms.min_days)),
                field(struct.pack(">i", terms.max_days)),
                field(struct.pack(">?", open_)),
                texts(terms.preferred_sectors),
                texts(
                    [f"{language}{level.rank}" for language, level in domain.working_languages(terms.languages).items()]
                ),
                texts(terms.skills_sought if isinstance(terms, Placement) else terms.skills_needed),
                texts(terms.skills_brought if isinstance(terms, Placement) else terms.skills_taught),
                texts(terms.destinations if isinstance(terms, Placement) else ()),
            )
        )

    header = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
    return header + b"".join(row(end) for end in market) + struct.pack(">h", loading.TRAILER)


def test_what_was_not_copied_whole_is_known_not_to_be():
    index = Index(PARAMETERS, room=20)
    copying = index.copying(OpenOffer)
    copying.take(copied_out([open_offer()])[:-3])
    assert not copying.whole
    assert len(index) == 0


def test_a_row_with_other_columns_is_refused():
    index = Index(PARAMETERS, room=20)
    rows = bytearray(copied_out([open_offer()]))
    rows[loading.HEADER + 1] = 12
    with pytest.raises(ValueError, match="row 0 has other columns"):
        index.copying(OpenOffer).take(bytes(rows))


def test_a_row_with_more_skills_than_an_end_may_have_is_left_out_and_the_rest_is_taken():
    many = tuple(f"skill-{number}" for number in range(layout.LONGEST))
    index = Index(replace(PARAMETERS, rarity=dict.fromkeys((*many, "brewing"), 1)), room=20)
    too_many = open_offer(offer_id=UUID(int=1), skills_taught=many)
    index.add(open_offer(offer_id=UUID(int=1), skills_taught=("brewing",)))
    copying = index.copying(OpenOffer)
    copying.take(copied_out([too_many, open_offer(offer_id=UUID(int=2), skills_taught=("brewing",))]))
    assert (copying.whole, copying.left_out) == (True, 1)
    found = index.candidates(open_placement(skills_sought=("brewing",)), 9, TODAY)
    assert [each.id for each in found] == [UUID(int=2)]


def test_an_end_with_more_skills_than_a_record_holds_is_found_as_any_other():
    many = tuple(f"skill-{number}" for number in range(40))
    with_many = replace(PARAMETERS, rarity=dict.fromkeys(many, 1))
    index = Index(with_many, room=50)
    host = open_offer(skills_taught=many, skills_needed=())
    seekers = [open_placement(skills_sought=many[number:], skills_brought=()) for number in (0, 20)]
    for _ in range(3):
        index.update(host)
        for seeker in seekers:
            assert index.candidates(seeker, 5, TODAY) == best(seeker, [host], 5, with_many) != []
        index.remove(host.terms.offer_id)


def test_more_countries_and_languages_than_a_posting_has_bits_for_do_no_harm():
    codes = [first + second for first in "abc" for second in "abcdefghijklmnopqrstuvwxyz"]
    index = Index(PARAMETERS, room=100)
    for number, code in enumerate(codes):
        spoken = (Spoken(language=code, level=Level.C1),)
        home = Home(UUID(int=number), code.upper(), "62")
        index.add(replace(open_offer(offer_id=UUID(int=number), languages=spoken), home=home))
    for number, code in enumerate(codes):
        seeker = open_placement(destinations=(code.upper(),), languages=(Spoken(language=code, level=Level.B1),))
        assert [each.id for each in index.candidates(seeker, 9, TODAY)] == [UUID(int=number)]


def test_all_that_is_compiled_is_compiled_before_anybody_asks():
    """A transaction that waited for the compiler would be ended by PostgreSQL."""
    script = """
from numba.core.dispatcher import Dispatcher
from matching.index import asking, loading, search, upkeep
from matching.index.compilation import compile_all
compile_all()
entries = (asking.best_of_each, loading.load, loading.day, search.best, upkeep.add, upkeep.remove_each, upkeep.fill, upkeep.empty)
missing = [each.__name__ for each in entries if isinstance(each, Dispatcher) and not each.signatures]
assert missing == [], missing
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_there_is_an_end_to_the_room_and_what_was_there_before_stays():
    index = Index(PARAMETERS, room=4)
    hosts = [open_offer(offer_id=UUID(int=number)) for number in range(4)]
    for host in hosts[:3]:
        index.add(host)
    with pytest.raises(Full, match="no room for more than 3 ends"):
        index.add(hosts[3])
    assert [each.id for each in index.candidates(open_placement(), 9, TODAY)] == [
        UUID(int=number) for number in range(3)
    ]
    index.remove(UUID(int=1))
    index.add(hosts[3])
    assert [each.id.int for each in index.candidates(open_placement(), 9, TODAY)] == [0, 2, 3]


def test_of_rows_that_are_copied_together_none_is_taken_where_there_is_no_room_to_list_all_their_skills():
    many = tuple(f"skill-{number}" for number in range(100))
    index = Index(replace(PARAMETERS, rarity=dict.fromkeys((*many, "brewing"), 1)), room=4)
    hosts = [open_offer(offer_id=UUID(int=number), skills_taught=("brewing",)) for number in range(2)]
    index.add(hosts[0])
    too_much = open_offer(offer_id=UUID(int=3), skills_taught=many)
    with pytest.raises(Full, match="no room for more than 1 ends"):
        index.copying(OpenOffer).take(copied_out([hosts[1], too_much]))
    seeker = open_placement(skills_sought=("brewing", *many))
    assert [each.id.int for each in index.candidates(seeker, 9, TODAY)] == [0]
    index.remove(hosts[0].id)
    assert index.candidates(seeker, 9, TODAY) == []
    assert len(index) == 0


def test_a_taxonomy_with_more_skills_than_can_be_numbered_is_refused_at_once():
    many = dict.fromkeys((f"skill-{number}" for number in range(32_768)), 1)
    with pytest.raises(Full, match="the taxonomy has 32,768 skills, 32,767 at most"):
        Index(replace(PARAMETERS, rarity=many))


def test_room_for_more_ends_than_a_posting_can_name_is_refused_at_once():
    with pytest.raises(Full, match="room for 4,194,305 ends, 4,194,304 at most"):
        Index(PARAMETERS, room=layout.MOST_ENDS + 1)


@contextmanager
def unchanged(index: Index) -> Iterator[None]:
    before = len(index)
    yield
    assert len(index) == before


def test_who_is_not_there_is_no_error():
    index = Index(PARAMETERS, room=4)
    index.add(open_offer())
    with unchanged(index):
        index.remove(UUID(int=7))
    assert index.candidates(UUID(int=7), 5, NOON.date()) == []


@pytest.mark.parametrize("k", [1, 3, 10])
def test_among_thousands_nobody_is_passed_over_who_is_one_of_the_best(k: int):
    """The scan that it is compared with equals the brute force, see test_market."""
    market = generate(3_000, seed=k)
    index = Index(market.parameters, room=8_000)
    ends = [Row(side, number) for side in Side for number in range(len(market.side(side)))]
    for each in ends:
        index.add(market.open(each))
    for each in Random(k).sample(ends, 400):
        found = index.candidates(market.side(each.side).id(each.number), k, market.parameters.today)
        assert [(candidate.id, candidate.score) for candidate in found] == numpy_scan(market, each, k)
