"""The index answers what the brute force over the score answers, whatever was added, changed and taken away before."""

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matching import domain
from matching.domain import Home, OpenOffer, OpenPlacement, Parameters, Weights, score
from matching.index import Candidate, End, Full, Index, loading
from sojourn_contracts.company import HostingOffer, Placement
from sojourn_contracts.vocabulary import Level, Spoken, Window

from tests.matching.market import NOON, PARAMETERS, TODAY, open_offer, open_placement

SKILLS = tuple(f"skill-{letter}" for letter in "abcdefgh")
COUNTRIES = ("DE", "ES", "FR")
SECTORS = ("10", "25", "61", "62")

skills = st.lists(st.sampled_from((*SKILLS, "unheard-of")), unique=True, max_size=4).map(tuple)
parameters = st.builds(
    Parameters,
    today=st.just(TODAY),
    rarity=st.fixed_dictionaries({skill: st.integers(1, 5_000) for skill in SKILLS}),
    related=st.dictionaries(
        st.sampled_from(SKILLS), st.dictionaries(st.sampled_from(SKILLS), st.integers(0, 100), max_size=3), max_size=6
    ),
    weights=st.sampled_from(
        (Weights(), Weights(coverage=1), Weights(coverage=90, preference=0), Weights(sector=0, overlap=60))
    ),
    trains_from=st.sampled_from((1, 50, 100)),
)


@st.composite
def ends(draw: st.DrawFn, number: int) -> End:
    """Of few countries, sectors, languages and skills, so that many fit and many tie."""
    home = Home(UUID(int=number), draw(st.sampled_from(COUNTRIES)), draw(st.sampled_from(SECTORS)))
    first = TODAY + timedelta(days=draw(st.integers(-30, 30)))
    shortest = draw(st.integers(14, 30))
    stay = {
        "languages": tuple(
            Spoken(language=language, level=draw(st.sampled_from(list(Level)[1:])))
            for language in draw(st.lists(st.sampled_from(("de", "en", "fr")), unique=True, max_size=2))
        ),
        "window": Window(first=first, last=first + timedelta(days=draw(st.integers(0, 90)))),
        "min_days": shortest,
        "max_days": draw(st.integers(shortest, 40)),
        "preferred_sectors": draw(st.lists(st.sampled_from(SECTORS), unique=True, max_size=2).map(tuple)),
    }
    if draw(st.booleans()):
        terms = Placement(
            placement_id=UUID(int=draw(st.integers(0, 2**31)) << 96 | number),
            traveller_id=UUID(int=number),
            destinations=draw(st.lists(st.sampled_from((*COUNTRIES, "IT")), unique=True).map(tuple)),
            skills_sought=draw(skills),
            skills_brought=draw(skills),
            **stay,
        )
        return OpenPlacement(terms, home, taken=draw(st.integers(0, 9)) == 0)
    offer = HostingOffer(
        offer_id=UUID(int=draw(st.integers(0, 2**31)) << 96 | number),
        capacity=draw(st.integers(0, 2)),
        skills_taught=draw(skills),
        skills_needed=draw(skills),
        **stay,
    )
    return OpenOffer(offer, home, held=draw(st.integers(0, 1)))


def id_of(end: End) -> UUID:
    return end.terms.placement_id if isinstance(end, OpenPlacement) else end.terms.offer_id


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
            fits.append((-fit.value, id_of(other)))
    return [Candidate(id_, -value) for value, id_ in sorted(fits)[:k]]


@given(st.data(), parameters)
@settings(max_examples=40, deadline=None)
def test_the_best_are_those_of_the_brute_force_after_any_history(data: st.DataObject, given_parameters: Parameters):
    index, market = Index(given_parameters, room=200), dict[UUID, End]()
    for number in range(data.draw(st.integers(2, 40), "ends")):
        end = data.draw(ends(number))
        index.add(end)
        market[id_of(end)] = end
        change = data.draw(st.integers(0, 5), "what changes besides")
        if change == 0:
            gone = data.draw(st.sampled_from(sorted(market)), "gone")
            index.remove(gone)
            del market[gone]
        elif change == 1:
            other = data.draw(st.sampled_from(sorted(market)), "changed")
            new = changed(market[other], data.draw(ends(number)), data.draw(st.lists(st.sampled_from(sorted(market)))))
            index.update(new)
            market[other] = new
    assert len(index) == len(market)
    later = replace(given_parameters, today=TODAY + timedelta(days=data.draw(st.integers(-10, 60), "days later")))
    k = data.draw(st.sampled_from((1, 3, 50)), "k")
    stranger = data.draw(ends(1_000))
    for end in (*market.values(), stranger):
        wanted = best(end, list(market.values()), k, later)
        assert index.candidates(end, k, later.today) == wanted
        if end is not stranger:
            assert index.candidates(id_of(end), k, later.today) == wanted


def changed(end: End, other: End, met: list[UUID]) -> End:
    """The end with what another one of the same side says of it; a placement also met some offers."""
    if isinstance(end, OpenPlacement):
        if isinstance(other, OpenPlacement):
            terms = other.terms.model_copy(update={"placement_id": end.terms.placement_id})
            return OpenPlacement(terms, other.home, other.taken, frozenset(met))
        return replace(end, met=frozenset(met))
    if isinstance(other, OpenOffer):
        return OpenOffer(other.terms.model_copy(update={"offer_id": end.terms.offer_id}), other.home, other.held)
    return replace(end, held=end.held + 1)


@given(st.data(), parameters)
@settings(max_examples=15, deadline=None)
def test_what_postgresql_copies_out_is_what_was_added_one_by_one(data: st.DataObject, given_parameters: Parameters):
    market = [data.draw(ends(number)) for number in range(data.draw(st.integers(1, 25), "ends"))]
    one_by_one, copied = Index(given_parameters, room=200), Index(given_parameters, room=200)
    for end in market:
        one_by_one.add(end)
    size = data.draw(st.integers(1, 400), "bytes in a chunk")
    for side in (OpenPlacement, OpenOffer):
        copying = copied.copying(side)
        rows = copied_out([end for end in market if isinstance(end, side)])
        for start in range(0, len(rows), size):
            copying.take(rows[start : start + size])
        assert copying.whole
    for end in market:
        assert copied.candidates(id_of(end), 9, TODAY) == one_by_one.candidates(id_of(end), 9, TODAY)


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
                field(id_of(end).bytes),
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


def test_a_taxonomy_with_more_skills_than_can_be_numbered_is_refused_at_once():
    many = dict.fromkeys((f"skill-{number}" for number in range(32_768)), 1)
    with pytest.raises(Full, match="the taxonomy has 32,768 skills, 32,767 at most"):
        Index(replace(PARAMETERS, rarity=many))


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
