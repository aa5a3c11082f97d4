"""The evaluation over HTTP, for analysts."""

from typing import Annotated

from chassis.http import Tx
from chassis.identity import Caller, Role, requires
from fastapi import APIRouter, Depends
from pydantic import BaseModel
from sojourn_contracts.vocabulary import Party

from survey import domain, store
from survey.answering import store as answering
from survey.domain import Estimate
from survey.questionnaires.published import newest
from survey.questionnaires.questionnaire import END_OF_STAY

routes = APIRouter()

Reader = Annotated[Caller, Depends(requires(Role.ANALYST, Role.OPERATOR))]


class Responses(BaseModel):
    party: Party
    wave: int
    invited: int
    sent: int
    """Invitations that the mail server accepted; that does not say that they arrived."""
    started: int
    """Saved a draft, or submitted."""
    submitted: int
    declined: int


class Evaluation(BaseModel):
    """Indicators count released answers; ``submitted`` also those that wait for their release."""

    indicators: list[Estimate]
    responses: list[Responses]
    funnel: dict[str, int]


@routes.get("/evaluation")
async def evaluation(_caller: Reader, tx: Tx) -> Evaluation:
    counts = await store.answer_counts(tx, END_OF_STAY)
    registered, left = await store.companies_registered_and_left(tx)
    return Evaluation(
        indicators=[
            domain.estimate(indicator, counts.get(indicator.question, {})) for indicator in newest().indicators
        ],
        responses=[Responses(**vars(each)) for each in await answering.responses(tx)],
        funnel=domain.funnel(registered, left, await store.exchanges_by_stage(tx)),
    )
