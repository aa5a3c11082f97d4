"""What people make of what they see: from the stage of an exchange to what they mean to do."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pilot.choices import Choices, Parameters, Reply
from pilot.people import Does, Person, about_exchange, about_invitation, stay, verdict

NOW = datetime(2016, 11, 2, 9, tzinfo=UTC)
ALWAYS = replace(
    Parameters(),
    reply={side: {Reply.ACCEPT: 1} for side in ("sender", "host")},
    redraft=0.0,
    sign_a_stale_version=1.0,
    cancel=1.0,
    forget_completion=0.0,
    answer_survey=dict.fromkeys(("sender", "host", "traveller"), 1.0),
    answer_twice=1.0,
)
CHOICES = Choices(7, ALWAYS)


def a_person(id_: str, number: int = 0) -> Person:
    return Person((0, number), id_, "token", NOW, timedelta(days=2))


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


def test_one_side_cancels_and_one_completes_after_the_last_day():
    acts = [
        act
        for side in ("s", "h")
        for act in about_exchange(a_person(side), a_view("agreed", agreement_version=1), NOW, CHOICES)
    ]
    assert sorted(act.does for act in acts) == [Does.CANCEL, Does.COMPLETE]
    (completion,) = [act for act in acts if act.does is Does.COMPLETE]
    assert completion.at.date() > date(2016, 12, 24)
    assert meant(a_person("t", number=1), a_view("agreed")) == []


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
