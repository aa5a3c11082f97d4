"""What is released, and that it leads nowhere."""

from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import pytest
from sojourn_contracts.vocabulary import Party
from stdnum.eu import nace
from survey.answering.domain import invite
from survey.domain import Company
from survey.release import NO_SECTION, Submission, cluster, duration_band, next_release, releasable, release, section

from tests.survey.story import COMPLETED, EXCHANGE, HOST_ANSWERS, SENDER, SENDER_UPDATED

KEY = bytes(32)
RECORD = uuid4()
TODAY = date(2026, 11, 21)


def submission(party: Party = Party.SENDER, company: Company | None = None) -> Submission:
    [invitation] = [made for made in invite(COMPLETED, 1, "2026.1", COMPLETED.changed_at) if made.party is party]
    return Submission(invitation, HOST_ANSWERS, company or Company(invitation.company_id, SENDER_UPDATED))


UNKNOWN = submission(company=Company(SENDER))


def test_a_release_says_the_day_and_coarse_dimensions():
    released = release(submission(), KEY, RECORD, TODAY)
    assert released.record_id == RECORD
    assert (released.party, released.wave, released.questionnaire) == (Party.SENDER, 1, "2026.1")
    assert (released.country, released.sector_section, released.size_class) == ("DE", "K", "small")
    assert (released.duration_band, released.training_direction) == ("14-30", "traveller")
    assert (released.released_on, released.answers) == (TODAY, HOST_ANSWERS)


def test_a_release_holds_no_id_but_the_random_one():
    text = release(submission(Party.TRAVELLER), KEY, RECORD, TODAY).model_dump_json()
    ids = [value for value in COMPLETED.model_dump().values() if isinstance(value, UUID)]
    ids += [made.invitation_id for made in invite(COMPLETED, 1, "2026.1", COMPLETED.changed_at)]
    assert len(ids) == 9
    assert not [known for known in ids if str(known) in text or known.hex in text]


def test_clusters_tell_equal_from_different_and_need_the_key():
    sender, host, traveller = (release(submission(party), KEY, uuid4(), TODAY) for party in Party)
    assert sender.exchange_cluster == host.exchange_cluster == traveller.exchange_cluster
    assert sender.company_cluster == traveller.company_cluster != host.company_cluster
    assert release(submission(), bytes([1] * 32), uuid4(), TODAY).company_cluster != sender.company_cluster
    assert cluster(KEY, "exchange", EXCHANGE) != cluster(KEY, "company", EXCHANGE)


def test_fewer_than_the_minimum_wait():
    assert releasable([submission()] * 2, 3) == []
    assert len(releasable([submission()] * 3, 3)) == 3


def test_submissions_of_companies_that_are_not_known_yet_wait_and_do_not_count():
    assert releasable([submission(), submission(), UNKNOWN], 3) == []
    assert releasable([submission()] * 3 + [UNKNOWN], 3) == [submission()] * 3
    with pytest.raises(ValueError, match="dimensions"):
        release(UNKNOWN, KEY, RECORD, TODAY)


def test_releases_fall_on_midnight():
    assert next_release(datetime(2026, 12, 31, 23, 59, tzinfo=UTC)) == datetime(2027, 1, 1, tzinfo=UTC)
    assert next_release(datetime(2027, 1, 1, tzinfo=UTC)) == datetime(2027, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("days", "band"), [(14, "14-30"), (30, "14-30"), (31, "31-45"), (45, "31-45"), (46, "46-62"), (62, "46-62")]
)
def test_a_stay_falls_into_one_band(days, band):
    assert duration_band(days) == band


def test_sections_are_those_of_nace():
    divisions = [f"{number:02}" for number in range(100) if nace.is_valid(f"{number:02}")]
    assert len(divisions) == 87
    assert {division: section(division) for division in divisions} == {
        division: nace.info(division)["section"] for division in divisions
    }
    assert section("00") == NO_SECTION
