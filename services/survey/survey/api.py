"""The survey's HTTP: invitations and submissions for those who are asked, the evaluation for analysts."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from chassis.http import Tx
from chassis.idempotency import Once
from chassis.identity import Caller, Role, requires
from chassis.problems import FieldError, InvalidFields
from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sojourn_contracts.refusal import NotYours
from sojourn_contracts.vocabulary import Party

from survey import domain, questionnaire, store
from survey.domain import Estimate, InvitationState
from survey.handlers import expect_nothing, schedule_release

routes = APIRouter()

Respondent = Annotated[Caller, Depends(requires(Role.COMPANY, Role.TRAVELLER))]
Reader = Annotated[Caller, Depends(requires(Role.ANALYST, Role.OPERATOR))]
Code = Annotated[str, StringConstraints(min_length=1, max_length=32)]


class AskedQuestion(BaseModel):
    code: str
    text: str
    answers: dict[str, str]
    """Answer code to label."""
    required: bool


class AskedInvitation(BaseModel):
    invitation_id: UUID
    exchange_id: UUID
    party: Party
    wave: int
    state: InvitationState
    closes_at: datetime
    questions: list[AskedQuestion]


class SubmissionForm(BaseModel):
    """Question code to answer code."""

    model_config = ConfigDict(extra="forbid")

    answers: Annotated[dict[Code, Code], Field(max_length=50)]


class Submitted(BaseModel):
    invitation_id: UUID


class Responses(BaseModel):
    party: Party
    wave: int
    invited: int
    sent: int
    """Invitations that the mail server accepted; that does not say that they arrived."""
    submitted: int


class Evaluation(BaseModel):
    """Indicators count released answers; ``submitted`` also those that wait for their release."""

    indicators: list[Estimate]
    responses: list[Responses]
    funnel: dict[str, int]


def respondent_id(caller: Caller) -> UUID:
    """A traveller answers in person, everybody else for the company."""
    asked = caller.person_id if caller.role is Role.TRAVELLER else caller.company_id
    if asked is None:
        raise NotYours("not_invited", "the token names nobody who could be invited")
    return asked


@routes.get("/invitations")
async def invitations(caller: Respondent, tx: Tx) -> list[AskedInvitation]:
    found = await store.invitations_of(tx, respondent_id(caller))
    return [
        AskedInvitation(
            invitation_id=invitation.invitation_id,
            exchange_id=invitation.exchange_id,
            party=invitation.party,
            wave=invitation.wave,
            state=domain.state_at(invitation, tx.now),
            closes_at=invitation.closes_at,
            questions=[
                AskedQuestion.model_validate(question, from_attributes=True)
                for question in questionnaire.asked(invitation.party)
            ],
        )
        for invitation in found
    ]


@routes.post("/invitations/{invitation_id}/submission", status_code=201)
async def submit(invitation_id: UUID, body: SubmissionForm, caller: Respondent, tx: Tx, once: Once) -> Submitted:
    """All questions are answered in one go; what is sent stands."""

    async def accept() -> Submitted:
        invitation = await store.locked(tx, invitation_id)
        submitted = domain.submit(invitation, respondent_id(caller), tx.now)
        _check(body, submitted.party)
        await store.save_state(tx, submitted)
        await store.keep_until_release(tx, submitted, body.answers)
        expect_nothing(tx, invitation_id)
        schedule_release(tx)
        return Submitted(invitation_id=invitation_id)

    return await once.answer(body, Submitted, accept)


def _check(body: SubmissionForm, party: Party) -> None:
    wrong = domain.wrong_answers(questionnaire.asked(party), body.answers)
    if wrong:
        raise InvalidFields([FieldError(f"answers.{each.question}", each.detail, each.allowed) for each in wrong])


@routes.get("/evaluation")
async def evaluation(_caller: Reader, tx: Tx) -> Evaluation:
    counts = await store.answer_counts(tx, questionnaire.END_OF_STAY)
    registered, left = await store.companies_registered_and_left(tx)
    return Evaluation(
        indicators=[
            domain.estimate(indicator, counts.get(indicator.code, {})) for indicator in questionnaire.INDICATORS
        ],
        responses=[
            Responses(party=party, wave=wave, invited=invited, sent=sent, submitted=submitted)
            for party, wave, invited, sent, submitted in await store.responses(tx)
        ],
        funnel=domain.funnel(registered, left, await store.exchanges_by_stage(tx)),
    )
