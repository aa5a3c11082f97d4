"""The published questionnaires over HTTP, without a token: whoever answers, or reads answers, looks up what a code means."""

from datetime import date

from fastapi import APIRouter, Response
from pydantic import BaseModel
from sojourn_contracts.refusal import Unknown
from sojourn_contracts.vocabulary import Party

from survey.questionnaires.published import published
from survey.questionnaires.questionnaire import Indicator, Kind, Question, Questionnaire

routes = APIRouter()


class Version(BaseModel):
    version: str
    published_on: date
    title: dict[str, str]


class AskedIf(BaseModel):
    """A question is asked only of those who gave one of these answers to another one."""

    question: str
    answers: list[str]


class PublishedQuestion(BaseModel):
    code: str
    kind: Kind
    text: dict[str, str]
    """By language."""
    answers: dict[str, dict[str, str]]
    """Answer code to label by language, in their order; empty for a text."""
    missing: list[str]
    """Answer codes that are no opinion."""
    base: list[Party]
    waves: list[int]
    asked_if: AskedIf | None
    required: bool


class PublishedIndicator(BaseModel):
    code: str
    question: str
    favourable: list[str]
    text: dict[str, str]
    pilot: float | None


class PublishedQuestionnaire(Version):
    questions: list[PublishedQuestion]
    indicators: list[PublishedIndicator]


@routes.get("/questionnaires")
async def versions() -> list[Version]:
    """All published versions, the newest last: it is the one that is asked from now on."""
    return [
        Version(version=each.version, published_on=each.published_on, title=dict(each.title))
        for each in published().values()
    ]


@routes.get("/questionnaires/{version}")
async def questionnaire(version: str, response: Response) -> PublishedQuestionnaire:
    """One version whole; it never changes, so it may be kept."""
    found = published().get(version)
    if found is None:
        raise Unknown("unknown_questionnaire", "there is no published questionnaire of this version")
    response.headers["Cache-Control"] = "public, max-age=86400, immutable"
    return _published(found)


def _published(questionnaire: Questionnaire) -> PublishedQuestionnaire:
    return PublishedQuestionnaire(
        version=questionnaire.version,
        published_on=questionnaire.published_on,
        title=dict(questionnaire.title),
        questions=[_question(each) for each in questionnaire.questions],
        indicators=[_indicator(each) for each in questionnaire.indicators],
    )


def _question(question: Question) -> PublishedQuestion:
    return PublishedQuestion(
        code=question.code,
        kind=question.kind,
        text=dict(question.texts),
        answers={code: dict(labels) for code, labels in question.codes.items()},
        missing=sorted(question.missing),
        base=[party for party in Party if party in question.base],
        waves=sorted(question.waves),
        asked_if=asked_if(question),
        required=question.required,
    )


def asked_if(question: Question) -> AskedIf | None:
    routing = question.routing
    return routing and AskedIf(question=routing.question, answers=sorted(routing.answers))


def _indicator(indicator: Indicator) -> PublishedIndicator:
    return PublishedIndicator(
        code=indicator.code,
        question=indicator.question,
        favourable=sorted(indicator.favourable),
        text=dict(indicator.texts),
        pilot=indicator.pilot,
    )
