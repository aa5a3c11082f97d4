"""What the survey holds on people and companies, and how it forgets them.

What was released stays: nothing in it leads back to anybody, once the year's key is gone. Drafts, what waits for its release
and what was written in people's own words could still be joined to who gave it, and go; that somebody was asked and answered
stays as a number.
"""

# ruff: noqa: S608 - what is put into SQL stands here
from datetime import timedelta
from uuid import UUID

from chassis.holdings import Holding, Holdings, about
from chassis.retention import Kept
from chassis.transaction import Transaction

from chassis import erasure
from survey import store
from survey.answering import store as answering
from survey.answering.expected import INVITE_AGAIN, expect_nothing

_PARTIES = "array[payload->>'sender_id', payload->>'host_id', payload->>'traveller_id'] && array[{id}::text]"
_AT_IT = f"select exchange_id from exchange where {_PARTIES}"
_ASKED = "(company_id = {id} or respondent_id = {id})"
_OF_ASKED = f"invitation_id in (select invitation_id from invitation where {_ASKED})"
HELD = Holdings(
    (
        Holding(
            "company",
            "company_id, profile, withdrawn, erased, registered_at",
            "position({id}::text in profile::text) > 0",
            "company_id = {id} and not erased",
        ),
        about("exchange", "exchange_id, event, payload, stage, furthest, reached, days", _PARTIES),
        about(
            "invitation",
            "invitation_id, exchange_id, party, wave, questionnaire, company_id, respondent_id, days, training_direction,"
            " programme_year, invited_at, closes_at, state, started, notice_id, sent_at, sent_revision",
            _ASKED,
        ),
        about("draft", "invitation_id, answers", _OF_ASKED),
        about("waiting", "invitation_id, answers", _OF_ASKED),
        about("remark", "remark_id, invitation_id, question, text, readable_on", _OF_ASKED),
    ),
    subjects=f"{_AT_IT} union select invitation_id from invitation where {_ASKED}",
)
NOBODY = {
    "released": "answers without anything that leads to who gave them",
    "unlinked": "how many invitations were erased",
    "cluster_key": "a key a year, and nobody's id",
    "destroyed_cluster_key": "years whose key is destroyed",
    "tally": "how many of what",
    "tally_change": "how many of what came since",
    "tally_version": "how often numbers changed",
    "company_answers": "numbers of released answers by a digest of the keyed hash that stands in the public record",
    "publication": "figures as the public was told them",
    "publication_page": "the same as pages",
}


async def forget_company(company_id: UUID, tx: Transaction) -> None:
    await store.erase_company(tx, company_id)
    await _forget_party(company_id, tx)


async def forget_person(person_id: UUID, tx: Transaction) -> None:
    await store.forget_traveller(tx, person_id)
    await _forget_party(person_id, tx)


async def _forget_party(party_id: UUID, tx: Transaction) -> None:
    for exchange_id in await store.exchanges_of(tx, party_id):
        await forget_exchange(exchange_id, tx)
    _take_back(tx, await answering.unlink(tx, "company_id = $1 or respondent_id = $1", party_id))


async def forget_exchange(exchange_id: UUID, tx: Transaction) -> None:
    """With all that its parties were asked about it."""
    await store.erase_exchange(tx, exchange_id)
    _take_back(tx, await answering.unlink(tx, "exchange_id = $1", exchange_id))
    tx.unschedule(INVITE_AGAIN, exchange_id)


def _take_back(tx: Transaction, invitation_ids: list[UUID]) -> None:
    for invitation_id in invitation_ids:
        expect_nothing(tx, invitation_id)


async def unlink_closed(tx: Transaction, age: timedelta, limit: int) -> int:
    """Invitations that closed so long ago, by the programme's time; how many they were stays."""
    return len(await answering.unlink(tx, "closes_at < $1", tx.now - age, limit))


async def destroy_keys(tx: Transaction, age: timedelta, limit: int) -> int:
    """Keys of years that ended so long ago: from then on nobody can tell which exchange or company a cluster was."""
    return await store.destroy_keys(tx, (tx.now - age).year)


DOORS = erasure.doors({"person": forget_person, "company": forget_company}, HELD)
KEPT = (Kept("invitation_days", unlink_closed), Kept("cluster_key_days", destroy_keys))
