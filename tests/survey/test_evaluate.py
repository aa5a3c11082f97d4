"""From counts to figures: indicators, comparisons, responses, funnel, scarcity; and that equal figures are equal bytes."""

from dataclasses import replace
from statistics import median as plain_median

import pytest
from hypothesis import given
from hypothesis import strategies as st
from survey.evaluation.evaluate import evaluate, evaluate_programme, median
from survey.evaluation.figures import (
    AnswerCount,
    CellCount,
    ClusterSums,
    Counts,
    DaysCount,
    FlowCount,
    PlacesCount,
    ProgrammeCounts,
    ResponseCount,
    StageCount,
    decoded_counts,
    decoded_figures,
    encoded,
)
from survey.evaluation.intervals import wilson
from survey.evaluation.sentences import beside_the_pilot, since_the_wave_before
from survey.questionnaires.published import published
from survey.questionnaires.questionnaire import LANGUAGES

VERSION = "2026.1"
QUESTIONNAIRE = published()[VERSION]


def answered(question: str, answers: dict[str, int], *, wave: int = 1, party: str = "sender") -> list[AnswerCount]:
    return [AnswerCount(wave, party, question, answer, number) for answer, number in answers.items()]


def evaluated(*answers: AnswerCount, **more):
    return evaluate(Counts(VERSION, 500, tuple(answers), **more), QUESTIONNAIRE)


def indicator(figures, code: str, wave: int = 1):
    [found] = [each for each in figures.indicators if (each.code, each.wave) == (code, wave)]
    return found


def test_the_top_two_of_the_scale_are_favourable_and_missing_answers_stand_apart():
    answers = {"1": 1, "2": 1, "3": 2, "4": 30, "5": 46, "97": 2, "98": 5, "99": 3}
    found = indicator(evaluated(*answered("XBORDER", answers)), "XBORDER")
    assert (found.count, found.valid, found.n) == (76, 80, 90)
    assert (found.declined, found.dont_know, found.not_applicable) == (2, 5, 3)
    assert found.share == 0.95
    assert (found.low, found.high) == pytest.approx(wilson(76, 80), abs=1e-6)


def test_an_indicator_counts_the_answers_of_all_its_parties_in_its_wave():
    found = evaluated(
        *answered("XBORDER", {"4": 3}, party="sender"),
        *answered("XBORDER", {"1": 2}, party="host"),
        *answered("XBORDER", {"5": 7}, wave=2),
    )
    assert (indicator(found, "XBORDER").count, indicator(found, "XBORDER").valid) == (3, 5)
    assert (indicator(found, "XBORDER", 2).count, indicator(found, "XBORDER", 2).valid) == (7, 7)


def test_yes_is_favourable_for_new_products():
    found = indicator(evaluated(*answered("NEWPROD", {"yes": 3, "no": 1, "98": 2})), "NEWPROD")
    assert (found.count, found.valid, found.share, found.dont_know) == (3, 4, 0.75, 2)


@pytest.mark.parametrize("answers", [{}, {"98": 4, "99": 1}])
def test_without_a_valid_answer_there_is_no_share(answers):
    found = indicator(evaluated(*answered("SEND_MATCH", answers)), "SEND_MATCH")
    assert (found.count, found.valid, found.share, found.low, found.high) == (0, 0, None, None, None)
    assert (found.difference, found.verdict) == (None, None)


def test_indicators_stand_beside_the_pilots_at_the_end_of_the_stay_only():
    pilots = {(each.code, each.wave): each.pilot for each in evaluated().indicators}
    assert {code: pilot for (code, wave), pilot in pilots.items() if wave == 1} == {
        "SEND_MATCH": 0.91,
        "HOST_MATCH": 0.95,
        "XBORDER": 0.90,
        "NEWPROD": 0.75,
        "EMP_PROFDEV": 0.81,
    }
    assert {pilot for (_, wave), pilot in pilots.items() if wave > 1} == {None}


@pytest.mark.parametrize(
    ("yes", "no", "verdict"), [(98, 2, "above"), (76, 24, "alike"), (40, 60, "below"), (750, 250, "alike")]
)
def test_a_difference_to_the_pilot_is_one_when_the_interval_leaves_its_share_out(yes, no, verdict):
    found = indicator(evaluated(*answered("NEWPROD", {"yes": yes, "no": no})), "NEWPROD")
    assert found.verdict == verdict
    low, high = wilson(yes, yes + no)
    assert (found.difference_low, found.difference_high) == pytest.approx((low - 0.75, high - 0.75), abs=1e-6)
    assert found.difference == pytest.approx(yes / (yes + no) - 0.75, abs=1e-6)


def test_companies_that_answer_several_times_make_the_comparison_more_careful():
    answers = answered("NEWPROD", {"yes": 86, "no": 14})
    agreeing = ClusterSums(1, "NEWPROD", 50, 100, 86, 200, 172, 172)
    alone, together = evaluated(*answers), evaluated(*answers, clusters=(agreeing,))
    assert indicator(alone, "NEWPROD").verdict == "above"
    found = indicator(together, "NEWPROD")
    assert (found.verdict, found.clusters) == ("alike", 50)
    assert found.design_effect == pytest.approx(2 * 50 / 49, abs=1e-6)
    assert found.cluster_low is not None and found.low is not None
    assert found.cluster_low < found.low


def test_companies_that_answered_once_need_no_second_interval():
    once = ClusterSums(1, "NEWPROD", 4, 4, 3, 4, 3, 3)
    found = indicator(evaluated(*answered("NEWPROD", {"yes": 3, "no": 1}), clusters=(once,)), "NEWPROD")
    assert (found.clusters, found.design_effect, found.cluster_low, found.cluster_high) == (4, 1.0, None, None)


def test_change_between_waves_has_an_interval_and_a_verdict():
    found = evaluated(
        *answered("NEWPROD", {"yes": 80, "no": 20}),
        *answered("NEWPROD", {"yes": 30, "no": 70}, wave=2),
        *answered("XBORDER", {"4": 30, "1": 20}),
        *answered("XBORDER", {"4": 31, "1": 19}, wave=2),
        *answered("EMP_PROFDEV", {"5": 9}, party="traveller"),
    )
    assert [(each.code, each.earlier, each.later, each.verdict) for each in found.changes] == [
        ("XBORDER", 1, 2, "alike"),
        ("NEWPROD", 1, 2, "down"),
    ]
    assert found.changes[1].difference == -0.5
    assert found.changes[1].low < -0.5 < found.changes[1].high < 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_comparison_reads_as_a_plain_sentence(language):
    counts = [answered("NEWPROD", {"yes": yes, "no": no}) for yes, no in ((98, 2), (40, 60), (75, 25))]
    said = [beside_the_pilot(indicator(evaluated(*each), "NEWPROD"), language) for each in counts]
    assert len(set(said)) == 3
    assert all("75" in each for each in said if each)
    assert ("23.0" if language == "en" else "23,0") in (said[0] or "")
    assert beside_the_pilot(indicator(evaluated(), "NEWPROD"), language)
    assert beside_the_pilot(indicator(evaluated(), "NEWPROD", 2), language) is None
    waves = evaluated(*counts[0], *answered("NEWPROD", {"yes": 10, "no": 90}, wave=2))
    assert ("88.0" if language == "en" else "88,0") in since_the_wave_before(waves.changes[0], language)


def test_response_rates_are_of_those_invited():
    [found] = evaluate_programme(ProgrammeCounts(responses=(ResponseCount(1, "host", 40, 38, 30, 20),))).responses
    assert (found.sent_rate, found.started_rate, found.complete_rate) == (0.95, 0.75, 0.5)
    [nobody] = evaluate_programme(ProgrammeCounts(responses=(ResponseCount(1, "host", 0, 0, 0, 0),))).responses
    assert (nobody.sent_rate, nobody.complete_rate) == (None, None)


def test_the_funnel_tells_conversion_and_median_days_of_each_stage():
    stages = tuple(
        StageCount(stage, number) for stage, number in (("registered", 40), ("proposed", 20), ("accepted", 15))
    )
    days = (DaysCount("proposed", 3, 10), DaysCount("proposed", 9, 10), DaysCount("accepted", 2, 15))
    registered, proposed, accepted = evaluate_programme(ProgrammeCounts(stages=stages, days=days)).funnel
    assert (registered.number, registered.conversion, registered.median_days) == (40, None, None)
    assert (proposed.conversion, proposed.median_days) == (None, 6.0)
    assert (accepted.conversion, accepted.median_days) == (0.75, 2.0)


@given(st.lists(st.integers(0, 400), min_size=1))
def test_a_median_of_counts_is_the_median_of_the_values(values):
    assert median({value: values.count(value) for value in values}) == plain_median(values)


def test_of_nothing_there_is_no_median():
    assert median({}) is None
    assert median({3: 0}) is None


def test_hosts_are_scarce_where_fewer_places_than_travellers_who_want_to_come():
    places = (PlacesCount("PT", 4, 3, 2, 6, 12), PlacesCount("AT", 1, 1, 0, 0, 0))
    austria, portugal = evaluate_programme(ProgrammeCounts(places=places)).scarcity
    assert (portugal.country, portugal.places_per_wanted) == ("PT", 0.5)
    assert (austria.country, austria.places_per_wanted) == ("AT", None)


EVERYTHING = Counts(
    VERSION,
    9,
    tuple(answered("NEWPROD", {"yes": 7, "no": 2})),
    (ClusterSums(1, "NEWPROD", 5, 9, 7, 21, 15, 13),),
    (CellCount(1, "NEWPROD", "country", "PT", 9, 7), CellCount(1, "NEWPROD", "country", "AT", None, None)),
    ProgrammeCounts(
        responses=(ResponseCount(1, "host", 40, 38, 30, 20),),
        stages=(StageCount("registered", 40), StageCount("proposed", 20)),
        left=2,
        ends=(StageCount("expired", 3),),
        days=(DaysCount("proposed", 3, 20),),
        places=(PlacesCount("PT", 4, 3, 2, 6, 12),),
        flows=(FlowCount("AT", "PT", 5),),
    ),
)


def test_counts_and_figures_survive_json_and_stay_the_same_byte_for_byte():
    figures = evaluate(EVERYTHING, QUESTIONNAIRE)
    assert decoded_counts(encoded(EVERYTHING)) == EVERYTHING
    assert decoded_figures(encoded(figures)) == figures
    assert encoded(decoded_figures(encoded(figures))) == encoded(figures)
    shuffled = replace(
        EVERYTHING, answers=EVERYTHING.answers[::-1], cells=EVERYTHING.cells[::-1], clusters=EVERYTHING.clusters[::-1]
    )
    assert encoded(evaluate(shuffled, QUESTIONNAIRE)) == encoded(figures)


def test_a_hidden_cell_shows_nothing():
    austria, portugal = evaluate(EVERYTHING, QUESTIONNAIRE).cells
    assert austria.hidden and (austria.count, austria.share, austria.low) == (None, None, None)
    assert (portugal.hidden, portugal.count, portugal.valid) == (False, 7, 9)
    assert (portugal.low, portugal.high) == pytest.approx(wilson(7, 9), abs=1e-6)


def test_counts_of_another_version_are_refused():
    with pytest.raises(ValueError, match=r"2025\.1"):
        evaluate(replace(EVERYTHING, questionnaire="2025.1"), QUESTIONNAIRE)
