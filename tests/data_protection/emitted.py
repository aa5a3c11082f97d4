"""Events as the services' own code makes them, of companies and people with names, addresses and much to say."""

from collections.abc import Iterator
from datetime import timedelta
from random import Random
from uuid import UUID, uuid4, uuid5

from exchange import notices
from registration.companies import domain
from registration.companies.domain import Company, Profile, Who
from registration.companies.form import CompanyForm, read
from registration.companies.profile import profile
from sojourn_contracts.event import Event
from sojourn_contracts.exchange import Stage
from sojourn_contracts.vocabulary import Party
from survey.answering.domain import Invitation, in_own_words, invite
from survey.domain import Company as Known
from survey.questionnaires.published import newest
from survey.questionnaires.questionnaire import Kind
from survey.release import Submission, release

from tests.exchange import given
from tests.registration.forms import SKILLS, TODAY, company_form, offer_form, person_form, placement_form
from tests.survey.story import COMPLETED, SENDER_UPDATED

PEOPLE = ("Zsuzsanna Quittenbaum", "Ottokar Wunderlich", "Ana Kovač", "Siobhán O'Neill", "Łukasz Wiśniewski")
WORDS = "We were so glad that Ottokar came; call him on +49 170 1234567 or write to ottokar@ochsenfrosch.example."
QUESTIONNAIRE = newest()
DECLINED = (Stage.DECLINED, Stage.EXPIRED, Stage.WITHDRAWN)


def of_registration(by: Random) -> Iterator[Event]:
    """A company is admitted, says something else, and leaves."""
    company_id = UUID(int=by.getrandbits(128), version=4)

    def said(**changes: object) -> Profile:
        stays = [placement_form(traveller=person_form(by.choice(PEOPLE))) for _ in range(by.randrange(3))]
        form = company_form(name=f"{by.choice(PEOPLE)} & Söhne GmbH", placements=stays, offers=[offer_form()])
        return profile(read(CompanyForm, form | changes, TODAY, SKILLS), lambda name: uuid5(company_id, name))

    begun = domain.draft(company_id, {"name": "Ochsenfrosch Werke", "contact": {"name": by.choice(PEOPLE)}})
    company, events = domain.admit(domain.submit(begun, Who.COMPANY, said()), Who.PROGRAMME)
    yield from events
    company, events = domain.edit(company, Who.COMPANY, said(languages=[{"language": "pt", "level": "B1"}]))
    yield from events
    company, events = _left(company, by)
    yield from events


def _left(company: Company, by: Random) -> tuple[Company, list[Event]]:
    if by.random() < 0.5:
        return domain.withdraw(company, Who.COMPANY)
    return domain.exclude(company, Who.OPERATOR)


def of_exchange() -> Iterator[Event]:
    """An exchange at each stage that there is, as every event may tell it, and the notices that go with it."""
    before = None
    for stage, at in given.AT.items():
        exchange = at()
        yield exchange.as_updated()
        if stage in DECLINED:
            yield exchange.as_match_declined()
        if stage is Stage.CANCELLED:
            yield exchange.as_cancelled()
        if stage is Stage.COMPLETED:
            yield exchange.as_completed()
        if stage in (Stage.AGREED, Stage.ONGOING, Stage.INTERRUPTED):
            yield exchange.as_agreed()
        yield from notices.asked(before, exchange)
        yield from notices.fallen_due(exchange, given.NOON + timedelta(days=400))
        yield from notices.called_off(exchange, None)
        before = exchange


def of_survey(by: Random) -> Iterator[Event]:
    """All three answer, also in their own words, and are asked and reminded before."""
    for invitation in invite(COMPLETED, by.choice((1, 2)), QUESTIONNAIRE.version, COMPLETED.changed_at):
        yield invitation.invites()
        yield invitation.reminds(1)
        yield release(
            Submission(invitation, _answers(invitation, by), Known(invitation.company_id, SENDER_UPDATED)),
            bytes(32),
            uuid4(),
            TODAY,
        )


def _answers(invitation: Invitation, by: Random) -> dict[str, str]:
    asked = QUESTIONNAIRE.asked(Party(invitation.party), invitation.wave)
    said = {each.code: WORDS if each.kind is Kind.TEXT else by.choice(list(each.codes)) for each in asked}
    return {code: answer for code, answer in said.items() if code not in in_own_words(asked, said)}
