"""What people make of what they see: from the stage of an exchange to what they mean to do."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pilot.choices import Choices, Parameters, Reply, Tick
from pilot.people import (
    Act,
    Does,
    Person,
    about_alert,
    about_checklist,
    about_exchange,
    about_interest,
    about_invitation,
    about_validation,
    agreement,
    extended,
    stay,
    still_means,
    training_day,
    verdict,
)
from pilot.sessions import Session

NOW = datetime(2016, 11, 2, 9, tzinfo=UTC)
ALWAYS = replace(
    Parameters(),
    reply={side: {Reply.ACCEPT: 1} for side in ("sender", "host")},
    redraft=0.0,
    sign_a_stale_version=1.0,
    cancel=1.0,
    forget_completion=0.0,
    split=0.0,
    interrupt=1.0,
    extend=1.0,
    end_early=1.0,
    answer_fit=1.0,
    send_back=1.0,
    answer_survey=dict.fromkeys(("sender", "host", "traveller"), 1.0),
    answer_twice=1.0,
)

CHOICES = Choices(7, ALWAYS)


def a_person(id_: str, number: int = 0) -> Person:
    return Person((0, number), id_, Session(), NOW, timedelta(days=2))


def a_view(stage: str, **said: Any) -> dict[str, Any]:
    return {
        "exchange_id": "e",
        "stage": stage,
        "sender_id": "s",
        "host_id": "h",
        "traveller_id": "t",
        "accepted_by": [],
        "agreement_version": 0,
        "signed_by": [],
        "latest_version": 0,
        "latest_signed_by": [],
        "latest_sent_back": False,
        "awaits_approval_of": [],
        "parts": [{"first": "2016-12-05", "last": "2016-12-24"}],
        "days": 20,
        "stay": None,
        "training": {"direction": "traveller", "skills": ["welding"]},
        "window": {"first": "2016-12-01", "last": "2017-01-31"},
        "min_days": 14,
        "max_days": 40,
        "first_day": "2016-12-05",
        "last_day": "2016-12-24",
        **said,
    }


def meant(person: Person, view: dict[str, Any], choices: Choices = CHOICES) -> list[tuple[Does, int]]:
    return [(act.does, act.count) for act in about_exchange(person, view, NOW, choices)]


def test_both_companies_reply_to_a_proposal_once():
    sender = a_person("s")
    assert meant(sender, a_view("proposed")) == [(Does.ACCEPT, 0)]
    assert meant(sender, a_view("proposed")) == []
    assert meant(a_person("h"), a_view("proposed", accepted_by=["sender"])) == [(Does.ACCEPT, 0)]
    assert meant(a_person("h"), a_view("proposed", accepted_by=["host"])) == []


@pytest.mark.parametrize(("reply", "does"), [(Reply.DECLINE, [(Does.DECLINE, 0)]), (Reply.SILENCE, [])])
def test_a_company_may_decline_or_let_a_proposal_expire(reply: Reply, does: list[tuple[Does, int]]):
    choices = Choices(7, replace(ALWAYS, reply={key: {reply: 1} for key in ("sender", "host")}))
    assert meant(a_person("s"), a_view("proposed"), choices) == does


def test_the_sender_drafts():
    assert meant(a_person("s"), a_view("accepted")) == [(Does.DRAFT, 1)]
    assert meant(a_person("h"), a_view("accepted")) == []


def test_all_three_sign_a_version_and_some_also_the_one_before():
    for person in (a_person("s"), a_person("h"), a_person("t", number=1)):
        assert meant(person, a_view("drafted", agreement_version=1)) == [(Does.SIGN, 1)]
        assert meant(person, a_view("drafted", agreement_version=2)) == [(Does.SIGN, 2), (Does.SIGN, 1)]
        assert meant(person, a_view("drafted", agreement_version=2)) == []


def test_a_host_may_want_other_dates_once():
    choices = Choices(7, replace(ALWAYS, redraft=1.0))
    host = a_person("h")
    assert meant(host, a_view("drafted", agreement_version=1), choices) == [(Does.DRAFT, 2)]
    assert meant(host, a_view("drafted", agreement_version=2), choices)[0] == (Does.SIGN, 2)


def test_what_a_contact_point_sent_back_is_drafted_again_by_the_sender_once():
    back = a_view("drafted", agreement_version=1, latest_sent_back=True)
    sender = a_person("s")
    assert meant(sender, back) == [(Does.DRAFT, 2)]
    assert meant(sender, back) == []
    assert meant(a_person("h"), back) == []


def test_one_side_cancels():
    acts = [
        act
        for side in ("s", "h")
        for act in about_exchange(a_person(side), a_view("agreed", agreement_version=1, latest_version=1), NOW, CHOICES)
    ]
    assert [act.does for act in acts] == [Does.CANCEL]
    assert meant(a_person("t", number=1), a_view("agreed")) == []


STAY = {"arrivals": [], "asked_at": None, "interruptions": [], "record": [], "ended_on": None, "confirmed_by": []}
CALM = Choices(7, replace(ALWAYS, cancel=0.0, interrupt=0.0, extend=0.0, end_early=0.0))


def ongoing(**said: Any) -> dict[str, Any]:
    return a_view("ongoing", agreement_version=1, latest_version=1, stay=STAY | said)


def test_each_takes_their_part_in_a_stay_once():
    sender, host, traveller = a_person("s"), a_person("h"), a_person("t", number=1)
    assert meant(sender, ongoing(), CALM) == [(Does.COMPLETE, 0)]
    assert meant(host, ongoing(), CALM) == [
        (Does.ARRIVE, 0),
        (Does.RECORD, 1),
        (Does.RECORD, 2),
        (Does.RECORD, 3),
        (Does.COMPLETE, 0),
    ]
    assert meant(traveller, ongoing(), CALM) == [(Does.ARRIVE, 0)]
    for person in (sender, host, traveller):
        assert meant(person, ongoing(), CALM) == []


def test_completion_is_confirmed_after_the_last_day_as_it_is_known():
    sender = a_person("s")
    (first,) = about_exchange(sender, ongoing(), NOW, CALM)
    (second,) = about_exchange(sender, ongoing() | {"last_day": "2017-01-07"}, NOW, CALM)
    assert date(2016, 12, 24) < first.at.date() <= date(2017, 1, 9)
    assert second.at.date() > date(2017, 1, 7)


def test_who_is_asked_whether_it_fits_answers_and_the_traveller_does_for_the_sender():
    asked = ongoing(asked_at="2016-12-14T00:00:00Z")
    assert (Does.FIT, 0) in meant(a_person("h"), asked, CALM)
    assert (Does.FIT, 0) in meant(a_person("t", number=1), asked, CALM)
    assert (Does.FIT, 0) not in meant(a_person("s"), asked, CALM)


def test_some_interrupt_extend_and_end_early():
    always = Choices(7, replace(ALWAYS, cancel=0.0))
    traveller = a_person("t", number=1)
    assert (Does.INTERRUPT, 0) in meant(traveller, ongoing(), always)
    assert (Does.EXTEND, 2) in meant(a_person("s"), ongoing(), always)
    ends = [meant(a_person(side), ongoing(), always).count((Does.END_EARLY, 0)) for side in ("s", "h")]
    assert sum(ends) == 1
    interrupted = ongoing(interruptions=[{"since": "2016-12-10", "until": None}]) | {"stage": "interrupted"}
    assert meant(traveller, interrupted, always) == [(Does.RESUME, 0)]


def test_all_three_sign_an_extension_once():
    extension = ongoing() | {"latest_version": 2, "latest_signed_by": ["host"]}
    sender = a_person("s")
    assert (Does.SIGN, 2) in meant(sender, extension, CALM)
    assert (Does.SIGN, 2) not in meant(sender, extension, CALM)
    assert (Does.SIGN, 2) not in meant(a_person("h"), extension, CALM)


@pytest.mark.parametrize(
    ("does", "view", "today", "means"),
    [
        (Does.COMPLETE, ongoing(record=["some"]), date(2016, 12, 25), True),
        (Does.COMPLETE, ongoing(record=["some"]), date(2016, 12, 24), False),
        (Does.COMPLETE, ongoing(), date(2016, 12, 25), False),
        (Does.COMPLETE, ongoing(record=["some"], confirmed_by=["sender"]), date(2016, 12, 25), False),
        (Does.INTERRUPT, ongoing(), date(2016, 12, 24), True),
        (Does.INTERRUPT, ongoing(ended_on="2016-12-20"), date(2016, 12, 20), False),
        (Does.END_EARLY, ongoing(), date(2016, 12, 23), True),
        (Does.END_EARLY, ongoing(), date(2016, 12, 24), False),
        (Does.EXTEND, ongoing() | {"days": 62}, date(2016, 12, 20), False),
        (Does.RESUME, ongoing(), date(2016, 12, 20), False),
        (Does.FIT, a_view("completed", stay=STAY), date(2016, 12, 30), False),
        (Does.ARRIVE, a_view("agreed"), date(2016, 12, 5), False),
    ],
)
def test_who_looks_before_acting_sees_whether_there_is_anything_to_do(
    does: Does, view: dict[str, Any], today: date, means: bool
):
    act = Act(NOW, does, (0, 0), "e")
    assert still_means(a_person("s"), act, view, today) is means


def test_training_is_recorded_for_the_day_before_if_that_was_one_of_the_stay():
    parts = [{"first": "2016-12-05", "last": "2016-12-11"}, {"first": "2016-12-19", "last": "2016-12-25"}]
    view = ongoing() | {"parts": parts, "last_day": "2016-12-24"}

    def day(at: int) -> date | None:
        return training_day(Act(datetime(2016, 12, at, 8, tzinfo=UTC), Does.RECORD, (0, 0), "e"), view)

    assert [day(at) for at in (5, 6, 12, 13, 25, 26)] == [
        None,
        date(2016, 12, 5),
        date(2016, 12, 11),
        None,
        date(2016, 12, 24),
        None,
    ]


def test_a_contact_point_sends_the_first_version_back_and_approves_the_next_one():
    germany = Person((-1, 0), "DE", "token", NOW, timedelta(hours=1))
    waiting = a_view("in_validation", latest_version=1, awaits_approval_of=["DE"])

    def does(view: dict[str, Any]) -> list[tuple[Does, int]]:
        return [(act.does, act.count) for act in about_validation(germany, view, NOW, CHOICES)]

    assert does(waiting) == [(Does.SEND_BACK, 1)]
    assert does(waiting) == []
    assert does(waiting | {"latest_version": 2}) == [(Does.APPROVE, 2)]
    assert does(waiting | {"exchange_id": "other", "awaits_approval_of": ["ES"]}) == []
    (act,) = about_alert(germany, {"alert_id": "a"}, NOW, CHOICES)
    assert act.does is Does.ACKNOWLEDGE
    assert about_alert(germany, {"alert_id": "a"}, NOW, CHOICES) == []


def test_an_agreement_is_split_where_the_window_has_room_and_has_an_item_for_each_who_learns():
    split = Choices(7, replace(ALWAYS, split=1.0, both_learn=1.0))
    first, last = date(2016, 12, 5), date(2016, 12, 24)
    said = agreement(a_view("accepted"), (first, last), split, 1)
    assert said["parts"] == [
        {"first_day": "2016-12-05", "last_day": "2016-12-14"},
        {"first_day": "2016-12-22", "last_day": "2016-12-31"},
    ]
    assert [item["learner"] for item in said["training"]] == ["traveller", "host_staff"]
    full = agreement(a_view("accepted"), (first, date(2017, 1, 31)), split, 1)
    assert len(full["parts"]) == 1


def test_an_extension_is_longer_and_otherwise_the_same():
    before = agreement(a_view("accepted"), (date(2016, 12, 5), date(2016, 12, 24)), CALM, 1)
    after = extended(before, ongoing(), CALM)
    assert after | {"parts": before["parts"]} == before
    assert after["parts"][0]["last_day"] in ("2016-12-31", "2017-01-07")
    assert extended(before, ongoing() | {"days": 60}, CALM)["parts"][0]["last_day"] == "2016-12-26"


def test_an_invitation_is_answered_and_by_some_again():
    person = a_person("h")
    invitation = {"invitation_id": "i", "party": "host", "state": "open", "questions": []}
    acts = about_invitation(person, invitation, NOW, CHOICES)
    assert [(act.does, act.count) for act in acts] == [(Does.ANSWER, 0), (Does.ANSWER, 1)]
    assert acts[0].at < acts[1].at
    assert about_invitation(person, invitation, NOW, CHOICES) == []
    assert about_invitation(a_person("h"), invitation | {"state": "closed"}, NOW, CHOICES) == []


@pytest.mark.parametrize("id_", [str(number) for number in range(50)])
def test_a_stay_lies_in_the_window_and_leaves_time_to_prepare(id_: str):
    now = datetime(2016, 12, 10, 9, tzinfo=UTC)
    days = stay(a_view("accepted", exchange_id=id_), now, CHOICES, 1)
    assert days is not None
    first, last = days
    assert date(2016, 12, 24) <= first
    assert last <= date(2017, 1, 31)
    assert 14 <= (last - first).days + 1 <= 40


def test_there_is_no_stay_when_the_window_has_no_room_left():
    assert stay(a_view("accepted"), datetime(2017, 1, 5, tzinfo=UTC), CHOICES, 1) is None


def test_a_contact_point_decides_by_what_the_rules_left_open():
    def review(**unclear: str) -> dict[str, Any]:
        return {"unclear": [{"rule": rule, "reason": reason} for rule, reason in unclear.items()]}

    assert verdict(review(a_large_company_only_hosts="borderline"))[0] == "admit"
    assert verdict(review(a_large_company_only_hosts="large"))[0] == "reject"
    decision, reason, remarks = verdict(review(learning_only_declared="not_declared"))
    assert (decision, bool(reason), [each["path"] for each in remarks]) == ("needs_changes", True, ["learning_only"])
    numbers = review(vat_number_registered="invalid", one_person_has_a_vat_number="no_number")
    decision, _, remarks = verdict(numbers)
    assert (decision, [each["path"] for each in remarks]) == ("needs_changes", ["vat", "vat"])


def test_a_contact_point_turns_nobody_away_because_vies_was_out():
    unavailable = {"unclear": [{"rule": "vat_number_registered", "reason": "unavailable"}]}
    assert verdict(unavailable)[0] == "admit"


def an_item(item: str, *who: str, state: str = "open") -> dict[str, Any]:
    return {"item": item, "who": list(who), "deadline": "2016-11-21", "state": state}


def ticks(tick: Tick, now: datetime = NOW) -> list[Act]:
    choices = Choices(7, replace(ALWAYS, tick={tick: 1}))
    items = [
        an_item("insurance", "sender", "traveller"),
        an_item("accommodation", "host"),
        an_item("a1_request", "sender"),
    ]
    return about_checklist(a_person("s"), a_view("agreed"), items, now, choices)


def test_whoever_an_item_is_for_says_that_it_is_done_in_time_or_late_or_never():
    over = datetime(2016, 11, 22, tzinfo=UTC)
    assert [act.seen["item"] for act in ticks(Tick.IN_TIME)] == ["insurance", "a1_request"]
    assert all(NOW <= act.at < over for act in ticks(Tick.IN_TIME))
    assert all(act.at >= over for act in ticks(Tick.LATE))
    assert ticks(Tick.NEVER) == []


def test_what_is_late_already_is_done_as_soon_as_it_is_seen():
    seen = datetime(2016, 11, 28, 8, tzinfo=UTC)
    assert {act.at for act in ticks(Tick.IN_TIME, now=seen)} == {seen}


def test_what_somebody_else_said_to_be_done_is_left_alone():
    items = [an_item("insurance", "sender", state="done")]
    choices = Choices(7, replace(ALWAYS, tick={Tick.IN_TIME: 1}))
    assert about_checklist(a_person("s"), a_view("agreed"), items, NOW, choices) == []


def test_a_company_that_is_still_interested_says_so_and_may_offer_its_places_again():
    again = Choices(7, replace(ALWAYS, still_interested=1.0, offer_again=1.0))
    acts = about_interest(a_person("h"), 2, NOW, again)
    assert [(act.does, act.count) for act in acts] == [(Does.CONFIRM, 0), (Does.RENEW, 0), (Does.RENEW, 1)]
    only = Choices(7, replace(ALWAYS, still_interested=1.0, offer_again=0.0))
    assert [act.does for act in about_interest(a_person("h"), 2, NOW, only)] == [Does.CONFIRM]
    assert about_interest(a_person("h"), 2, NOW, Choices(7, replace(ALWAYS, still_interested=0.0))) == []
