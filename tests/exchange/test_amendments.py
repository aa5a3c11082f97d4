"""What follows an agreement in force: the next version, an extension above all."""

from datetime import date, timedelta

import pytest
from exchange import domain
from exchange.agreement import Part, WrongTerms
from exchange.domain import MOST_VERSIONS
from sojourn_contracts.exchange import ExchangeAgreed
from sojourn_contracts.refusal import Refused
from sojourn_contracts.vocabulary import Party

from tests.exchange import given
from tests.exchange.given import AFTER, ASKS, CLOSES, DAY, FIRST, LAST, LONGER, STARTS, TERMS

LATER = STARTS + 10 * DAY


def wrong(*parts: tuple[date, date]) -> list[tuple[str, str]]:
    with pytest.raises(WrongTerms) as refused:
        given.draft(given.ongoing(), given.terms(*parts), LATER)
    return [(fault.path, fault.detail) for fault in refused.value.faults]


@pytest.mark.parametrize("exchange", [given.agreed(), given.ongoing(), given.interrupted(LATER)])
def test_the_version_in_force_stays_so_until_all_have_signed_the_next_one(exchange: given.Exchange):
    drafted, events = given.draft(exchange, LONGER, LATER if exchange.begun else given.NOON)
    now = drafted.changed_at
    assert (drafted.stage, drafted.agreement, drafted.last_day) == (exchange.stage, exchange.agreement, LAST)
    assert events == [drafted.as_updated()]
    two = given.signed(drafted, Party.HOST, Party.TRAVELLER, now=now)
    assert (two.agreement, two.agreement_version) == (exchange.agreement, 1)
    extended, events = domain.sign(two, Party.SENDER, 2, now)
    assert (extended.stage, extended.agreement_version, extended.amendment) == (exchange.stage, 2, None)
    assert extended.last_day == LAST + 14 * DAY
    assert isinstance(events[0], ExchangeAgreed)
    assert (events[0].stage, events[0].agreement_version, events[0].days) == (exchange.stage, 2, 42)


def test_what_falls_due_moves_with_the_last_day():
    extended = given.signed(given.draft(given.ongoing(), LONGER, LATER)[0], now=LATER)
    assert dict(domain.due(extended)) == {"ask": ASKS + 7 * DAY, "close": CLOSES + 14 * DAY}
    assert domain.days_held(extended) == LONGER.parts


def test_only_the_next_version_can_be_signed_while_there_is_one():
    drafted, _ = given.draft(given.ongoing(), LONGER, LATER)
    with pytest.raises(Refused, match="stale_version"):
        domain.sign(drafted, Party.HOST, 1, LATER)


def test_another_draft_replaces_the_one_that_is_open():
    drafted = given.signed(given.draft(given.ongoing(), LONGER, LATER)[0], Party.HOST, now=LATER)
    again, _ = given.draft(drafted, given.terms((FIRST, LAST + DAY)), LATER)
    assert again.amendment is not None
    assert (again.amendment.version, again.amendment.signed_by, again.agreement_version) == (3, (), 1)


@pytest.mark.parametrize(("more", "fits"), [(34, True), (35, False)])
def test_a_stay_is_extended_to_sixty_two_days_whatever_the_match_wished_for(more: int, fits: bool):
    terms = given.terms((FIRST, LAST + more * DAY))
    if fits:
        assert given.draft(given.ongoing(), terms, LATER)[0].amendment is not None
    else:
        assert wrong((FIRST, LAST + more * DAY)) == [("parts.0.last_day", "makes a stay of 63 days")]


def test_a_stay_is_extended_by_a_part_of_its_own_beyond_the_window():
    far = (given.WINDOW.last + 30 * DAY, given.WINDOW.last + 40 * DAY)
    extended = given.signed(given.draft(given.ongoing(), given.terms((FIRST, LAST), far), LATER)[0], now=LATER)
    assert domain.days_held(extended) == (Part(FIRST, LAST), Part(*far))


def test_a_stay_is_not_moved_by_more_than_a_year():
    year = timedelta(days=365)
    moved = given.terms((FIRST + year - 13 * DAY, FIRST + year))
    assert given.draft(given.agreed(), moved, given.NOON)[0].amendment is not None
    with pytest.raises(WrongTerms, match="more than twelve months"):
        given.draft(given.agreed(), given.terms((FIRST + year - 12 * DAY, FIRST + year + DAY)), given.NOON)


def test_what_has_begun_is_neither_moved_nor_shortened():
    assert wrong((FIRST + DAY, LAST + DAY)) == [("parts.0.first_day", "changes a part that has begun")]
    assert wrong((FIRST, LAST - DAY)) == [("parts.0.last_day", "changes days of a part that has begun")]


def test_what_has_not_begun_does_not_begin_in_the_past():
    later = (FIRST + 20 * DAY, FIRST + 40 * DAY)
    split = given.ongoing(given.terms((FIRST, FIRST + 6 * DAY), later))
    now = STARTS + 10 * DAY
    moved = given.terms((FIRST, FIRST + 6 * DAY), (FIRST + 10 * DAY, FIRST + 30 * DAY))
    assert given.draft(split, moved, now)[0].amendment is not None
    with pytest.raises(WrongTerms, match=r"parts\.1\.first_day lies in the past"):
        given.draft(split, moved, now + DAY)
    with pytest.raises(WrongTerms, match=r"parts\.0\.last_day changes days of a part that has begun"):
        given.draft(split, given.terms((FIRST, FIRST + 7 * DAY), later), now)


def test_an_amendment_is_signed_while_its_days_can_still_be_agreed_on():
    moved, _ = given.draft(given.agreed(), given.terms((FIRST + DAY, LAST)), STARTS - DAY)
    begun = domain.start(moved, STARTS)[0]
    with pytest.raises(Refused, match="first_day_passed"):
        domain.sign(begun, Party.HOST, 2, STARTS)
    drafted, _ = given.draft(given.ongoing(), LONGER, LATER)
    with pytest.raises(Refused, match="stay_over"):
        domain.sign(drafted, Party.HOST, 2, AFTER)


def test_nothing_is_drafted_after_the_last_day():
    with pytest.raises(Refused, match="stay_over"):
        given.draft(given.ongoing(), LONGER, AFTER)


def test_an_open_version_ends_with_its_exchange():
    drafted, _ = given.draft(given.ongoing(), LONGER, LATER)
    assert domain.cancel(drafted, given.Side.HOST, "illness", LATER)[0].amendment is None


def test_versions_are_bounded():
    exchange = given.drafted()
    for number in range(MOST_VERSIONS - 1):
        exchange, _ = given.draft(exchange, (TERMS, given.OTHER_TERMS)[(number + 1) % 2], given.NOON)
    assert exchange.agreement_version == MOST_VERSIONS
    with pytest.raises(Refused, match="too_many_versions"):
        given.draft(exchange, given.terms((FIRST, LAST + timedelta(days=1))), given.NOON)
