"""Invitations, drafts and submissions for those who are asked, over HTTP; what people wrote, for evaluators."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from chassis.http import Tx, link_to_next
from chassis.idempotency import Once
from chassis.identity import Caller, Role, requires
from chassis.problems import FieldError, InvalidFields, Problem
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sojourn_contracts.refusal import NotYours
from sojourn_contracts.vocabulary import Party

from survey.answering import domain, store
from survey.answering.domain import Invitation, InvitationState, WrongAnswer
from survey.answering.expected import expect_nothing, expect_release
from survey.questionnaires.api import AskedIf, asked_if
from survey.questionnaires.language import Language, Reads
from survey.questionnaires.loading import CODE_LENGTH, WAVES
from survey.questionnaires.published import published
from survey.questionnaires.questionnaire import Kind, Question

routes = APIRouter()

Respondent = Annotated[Caller, Depends(requires(Role.COMPANY, Role.TRAVELLER))]
Evaluator = Annotated[Caller, Depends(requires(Role.EVALUATOR))]
Code = Annotated[str, StringConstraints(min_length=1, max_length=CODE_LENGTH)]
Answer = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=4_000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
    ),
]
"""A code, or a text in one's own words."""


class AskedQuestion(BaseModel):
    """A question in the reader's language."""

    code: str
    kind: Kind
    text: str
    answers: dict[str, str]
    """Answer code to label, in the order in which they are to be shown; empty where one answers in one's own words."""
    asked_if: AskedIf | None
    required: bool
    """An answer may still be that one prefers not to say."""


class AskedInvitation(BaseModel):
    invitation_id: UUID
    exchange_id: UUID
    party: Party
    wave: int
    questionnaire: str
    state: InvitationState
    closes_at: datetime
    questions: list[AskedQuestion]


class InvitationInHand(AskedInvitation):
    draft: dict[str, str]
    """What was saved so far, question code to answer; empty once it is submitted, declined or closed."""


class Answers(BaseModel):
    """Question code to answer: an answer's code, or a text where the question is of that kind."""

    model_config = ConfigDict(extra="forbid")

    answers: Annotated[dict[Code, Answer], Field(max_length=50)]


class Submitted(BaseModel):
    invitation_id: UUID


class WrittenRemark(BaseModel):
    remark_id: UUID
    questionnaire: str
    party: Party
    wave: int
    question: str
    text: str


def respondent_id(caller: Caller) -> UUID:
    """A traveller answers in person, everybody else for the company."""
    asked = caller.person_id if caller.role is Role.TRAVELLER else caller.company_id
    if asked is None:
        raise NotYours("not_invited", "the token names nobody who could be invited")
    return asked


@routes.get("/invitations")
async def invitations(caller: Respondent, reads: Reads, tx: Tx, response: Response) -> list[AskedInvitation]:
    """All of the caller's, in the order in which they were invited."""
    found = await store.invitations_of(tx, respondent_id(caller))
    _say_language(response, reads)
    return [AskedInvitation(**_shown(invitation, reads, tx.now)) for invitation in found]


@routes.get("/invitations/{invitation_id}")
async def invitation(
    invitation_id: UUID, caller: Respondent, reads: Reads, tx: Tx, response: Response
) -> InvitationInHand:
    """One of the caller's, with its draft."""
    found, draft = await store.with_draft(tx, invitation_id)
    seen = domain.seen_by(found, respondent_id(caller))
    _say_language(response, reads)
    return InvitationInHand(**_shown(seen, reads, tx.now), draft=draft)


@routes.put("/invitations/{invitation_id}/draft", status_code=204)
async def save_draft(invitation_id: UUID, body: Answers, caller: Respondent, tx: Tx) -> None:
    """Keeps what was answered so far, in place of what was kept before. It may have gaps; what is there must be right."""
    found = await store.locked(tx, invitation_id)
    started = domain.save_draft(found, respondent_id(caller), body.answers, tx.now)
    _require_none(domain.wrong_in_draft(_asked(started), body.answers))
    await store.save_draft(tx, started, body.answers)


@routes.post("/invitations/{invitation_id}/submission", status_code=201)
async def submit(invitation_id: UUID, body: Answers, caller: Respondent, tx: Tx, once: Once) -> Submitted:
    """All questions are answered in one go, whatever the draft says; what is sent stands."""

    async def accept() -> Submitted:
        found = await store.locked(tx, invitation_id)
        submitted = domain.submit(found, respondent_id(caller), body.answers, tx.now)
        questions = _asked(submitted)
        _require_none(domain.wrong_answers(questions, body.answers))
        remarks = domain.in_own_words(questions, body.answers)
        coded = {code: answer for code, answer in body.answers.items() if code not in remarks}
        await store.submit(tx, submitted, coded, remarks, domain.readable_on(tx.now))
        expect_nothing(tx, invitation_id)
        await expect_release(tx)
        return Submitted(invitation_id=invitation_id)

    return await once.answer(body, Submitted, accept)


@routes.post("/invitations/{invitation_id}/decline", status_code=204)
async def decline(invitation_id: UUID, caller: Respondent, tx: Tx) -> None:
    """Says that one would rather not answer; that stands, and nobody is reminded. To say it again changes nothing."""
    found = await store.locked(tx, invitation_id)
    declined = domain.decline(found, respondent_id(caller), tx.now)
    await store.end(tx, declined)
    expect_nothing(tx, invitation_id)


@routes.get("/remarks")
async def remarks(
    _caller: Evaluator,
    tx: Tx,
    request: Request,
    response: Response,
    party: Party | None = None,
    wave: Annotated[int | None, Query(ge=WAVES[0], le=WAVES[-1])] = None,
    after: Annotated[UUID | None, Query(description="the remark_id that a page before ended with")] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> list[WrittenRemark]:
    """What people wrote in their own words, from the month after on, in an order that says nothing."""
    found = await store.remarks(tx, tx.now.date(), after, limit, party, wave)
    if len(found) == limit:
        link_to_next(request, response, after=found[-1].remark_id)
    return [WrittenRemark(**vars(remark)) for remark in found]


def _say_language(response: Response, reads: Language) -> None:
    response.headers["Content-Language"] = reads
    response.headers["Vary"] = "Accept-Language"


def _asked(invitation: Invitation) -> tuple[Question, ...]:
    """What the invitation asks.

    Raises:
        Problem: 503, a newer release opened it, whose questionnaire this process does not know yet.
    """
    questionnaire = published().get(invitation.questionnaire)
    if questionnaire is None:
        detail = f"Questionnaire {invitation.questionnaire} is not known here yet; try again"
        raise Problem(503, "unknown_questionnaire", detail, {"Retry-After": "30"})
    return questionnaire.asked(invitation.party, invitation.wave)


def _shown(invitation: Invitation, reads: Language, now: datetime) -> dict[str, Any]:
    return {
        "invitation_id": invitation.invitation_id,
        "exchange_id": invitation.exchange_id,
        "party": invitation.party,
        "wave": invitation.wave,
        "questionnaire": invitation.questionnaire,
        "state": domain.state_at(invitation, now),
        "closes_at": invitation.closes_at,
        "questions": [_question(question, reads) for question in _asked(invitation)],
    }


def _question(question: Question, reads: Language) -> AskedQuestion:
    return AskedQuestion(
        code=question.code,
        kind=question.kind,
        text=question.texts[reads],
        answers={code: labels[reads] for code, labels in question.codes.items()},
        asked_if=asked_if(question),
        required=question.required,
    )


def _require_none(wrong: list[WrongAnswer]) -> None:
    if wrong:
        raise InvalidFields([FieldError(f"answers.{each.question}", each.detail, each.allowed) for each in wrong])
