"""What counts as an answer to the questionnaire."""

from dataclasses import replace

import pytest
from sojourn_contracts.vocabulary import Party
from survey.answering.domain import in_own_words, wrong_answers, wrong_in_draft
from survey.questionnaires.published import newest
from survey.questionnaires.questionnaire import Question

from tests.survey.story import HOST_ANSWERS, SENDER_ANSWERS, TRAVELLER_ANSWERS


def asked(party: Party, wave: int = 1) -> tuple[Question, ...]:
    return newest().asked(party, wave)


def wrong(party: Party, answers: dict[str, str], wave: int = 1) -> dict[str, str]:
    return {each.question: each.detail for each in wrong_answers(asked(party, wave), answers)}


@pytest.mark.parametrize(
    ("party", "answers"),
    [(Party.SENDER, SENDER_ANSWERS), (Party.HOST, HOST_ANSWERS), (Party.TRAVELLER, TRAVELLER_ANSWERS)],
)
def test_the_required_answers_are_enough(party, answers):
    assert not wrong(party, answers)


def test_not_to_know_and_to_prefer_not_to_say_are_answers():
    assert not wrong(Party.SENDER, SENDER_ANSWERS | {"SEND_MATCH": "98", "NEWPROD": "99", "XBORDER": "97"})


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
    assert only.allowed == "1, 2, 3, 4, 5, 97, 98, 99"


def test_the_second_wave_asks_what_came_of_it():
    codes = [question.code for question in asked(Party.HOST, 2)]
    assert "HOST_MATCH" not in codes
    [did] = [question for question in asked(Party.HOST, 2) if question.code == "NEWPROD"]
    assert did.texts["en"].startswith("Did you introduce")
    assert wrong(Party.HOST, HOST_ANSWERS, 2) == {"HOST_MATCH": "is not asked of this party"}


@pytest.mark.parametrize("gate", [{"COSTS": "no"}, {"COSTS": "97"}, {}])
def test_a_question_that_hangs_on_another_ones_answer_is_asked_of_nobody_else(gate):
    [only] = wrong_answers(asked(Party.HOST), HOST_ANSWERS | gate | {"COSTS_AMOUNT": "to_100"})
    assert (only.question, only.allowed) == ("COSTS_AMOUNT", "COSTS: yes")
    assert not wrong(Party.HOST, HOST_ANSWERS | {"COSTS": "yes", "COSTS_AMOUNT": "to_100"})


def test_a_routed_question_is_required_only_of_whom_it_is_asked():
    questions = [replace(each, required=True) if each.routing else each for each in asked(Party.HOST)]
    assert [each.question for each in wrong_answers(questions, HOST_ANSWERS | {"COSTS": "yes"})] == ["COSTS_AMOUNT"]
    assert not wrong_answers(questions, HOST_ANSWERS | {"COSTS": "no"})


def test_a_draft_may_have_gaps_and_nothing_that_is_no_answer():
    draft = {"HOST_MATCH": "6", "COSTS_AMOUNT": "to_100", "SEND_MATCH": "5", "REMARKS": "Good."}
    assert [each.question for each in wrong_in_draft(asked(Party.HOST), draft)] == ["HOST_MATCH", "SEND_MATCH"]


def test_texts_are_told_from_codes():
    answers = HOST_ANSWERS | {"REMARKS": "It went well."}
    assert not wrong(Party.HOST, answers)
    assert in_own_words(asked(Party.HOST), answers) == {"REMARKS": "It went well."}
