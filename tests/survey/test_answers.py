"""The questionnaire, and what counts as an answer to it."""

import pytest
from sojourn_contracts.vocabulary import Party
from survey.domain import wrong_answers
from survey.questionnaire import INDICATORS, QUESTIONS, asked

from tests.survey.story import HOST_ANSWERS, SENDER_ANSWERS, TRAVELLER_ANSWERS


def wrong(party: Party, answers: dict[str, str]) -> dict[str, str]:
    return {each.question: each.detail for each in wrong_answers(asked(party), answers)}


@pytest.mark.parametrize(
    ("party", "answers"),
    [(Party.SENDER, SENDER_ANSWERS), (Party.HOST, HOST_ANSWERS), (Party.TRAVELLER, TRAVELLER_ANSWERS)],
)
def test_the_required_answers_are_enough(party, answers):
    assert not wrong(party, answers)


def test_not_to_know_is_an_answer():
    assert not wrong(Party.SENDER, SENDER_ANSWERS | {"SEND_MATCH": "98", "NEWPROD": "99"})


def test_everything_that_is_wrong_is_named():
    assert wrong(Party.SENDER, {"SEND_MATCH": "6", "NEWPROD": "1", "EMP_PROFDEV": "5", "NONSENSE": "1"}) == {
        "XBORDER": "is required",
        "OVERALL": "is required",
        "SEND_MATCH": "is not an answer to this question",
        "NEWPROD": "is not an answer to this question",
        "EMP_PROFDEV": "is not asked of this party",
        "NONSENSE": "is not asked of this party",
    }


def test_a_wrong_answer_comes_with_those_that_are_allowed():
    [only] = wrong_answers(asked(Party.HOST), HOST_ANSWERS | {"XBORDER": "often"})
    assert only.allowed == "1, 2, 3, 4, 5, 98, 99"


def test_each_indicator_is_asked_of_the_right_parties():
    parties = {question.code: set(question.asked_of) for question in QUESTIONS}
    assert {indicator.code: parties[indicator.code] for indicator in INDICATORS} == {
        "SEND_MATCH": {Party.SENDER},
        "HOST_MATCH": {Party.HOST},
        "XBORDER": {Party.SENDER, Party.HOST},
        "NEWPROD": {Party.SENDER, Party.HOST},
        "EMP_PROFDEV": {Party.TRAVELLER},
    }


def test_codes_are_unique_and_fit_the_public_event():
    assert len({question.code for question in QUESTIONS}) == len(QUESTIONS)
    assert all(len(code) <= 32 for question in QUESTIONS for code in question.answers)
    for indicator in INDICATORS:
        [question] = [question for question in QUESTIONS if question.code == indicator.code]
        assert indicator.favourable < question.answers.keys()
        assert question.required
