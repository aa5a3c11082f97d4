"""The conformance kit finds what a subscriber gets wrong, and nothing in one that is right."""

from importlib.metadata import entry_points

import pytest
from sojourn_contracts import catalogue
from sojourn_contracts.envelope import decode
from sojourn_contracts.kit.conformance import CHECKS, NotApplicable, Subscriber, Violated
from sojourn_contracts.kit.history import FORGOTTEN, history, id_of, tombstones

from tests.subscribers.samples import BROKEN, TOPICS, Right

pytest_plugins = ["pytester"]


def violations(subscriber: Subscriber) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, check in CHECKS.items():
        try:
            check.run(subscriber)
        except Violated as violated:
            found[name] = str(violated)
    return found


def test_each_check_has_a_subscriber_that_fails_it():
    assert set(BROKEN) == set(CHECKS)


def test_a_subscriber_that_is_right_passes_every_check():
    assert violations(Right()) == {}


@pytest.mark.parametrize("name", CHECKS)
def test_a_broken_subscriber_fails_the_check(name: str):
    with pytest.raises(Violated):
        CHECKS[name].run(BROKEN[name]())


def test_a_raising_handler_is_reported_with_what_it_was_fed():
    found = violations(BROKEN["unknown_fields"]())
    assert found["unknown_fields"].startswith("it raised ValueError: unexpected {'not_known_yet'}, when it was fed ")
    assert "CompanyRegistered.v1" in found["unknown_fields"]


def test_a_difference_is_reported_by_subject():
    last = violations(BROKEN["permutations"]())["permutations"]
    assert "subjects are not as after the plain history" in last
    assert (
        f"{id_of('cancelled exchange')}: [0, 1], not [1, 6]" in last or f"{id_of('host')}: [1, 1], not [1, 3]" in last
    )


class WithoutEffects(Right):
    topics = ("CompanyRegistered", "NoticeDue")

    def state(self):
        return {"subjects": self.known}


class OfNotices(Right):
    topics = ("NoticeDue",)


@pytest.mark.parametrize(
    ("subscriber", "name", "reason"),
    [
        (WithoutEffects(), "effects", "the state has no `effects`"),
        (OfNotices(), "tombstones", "none of its topics is compacted"),
        (OfNotices(), "compaction", "none of its topics tells of a subject twice"),
    ],
)
def test_what_cannot_be_asked_is_not_asked(subscriber: Subscriber, name: str, reason: str):
    with pytest.raises(NotApplicable, match=reason):
        CHECKS[name].run(subscriber)


@pytest.mark.parametrize(
    ("told", "reason"),
    [({"subjects": {1, 2}}, "is not"), ({}, "is not"), ({"subjects": {}, "effects": 3}, "is not")],
)
def test_a_state_of_another_form_is_a_violation(told: dict[str, object], reason: str):
    subscriber = Right()
    subscriber.state = lambda: told
    with pytest.raises(Violated, match=reason):
        CHECKS["duplicates"].run(subscriber)


def test_a_topic_that_nobody_can_tell_of_is_refused():
    with pytest.raises(ValueError, match="knows nothing to tell on NeverHeardOf"):
        history(["CompanyUpdated", "NeverHeardOf"])


@pytest.mark.parametrize("topic", sorted(topic.name for topic in catalogue.TABLE if not topic.is_of_manifests))
def test_each_topic_has_a_history_of_several_subjects_in_the_order_of_its_sequences(topic: str):
    records = history([topic])
    assert len({record.subject for record in records}) > 1
    for source in {record.header("ce_source") for record in records}:
        sequences = [int(record.header("ce_sequence")) for record in records if record.header("ce_source") == source]
        assert sequences == list(range(1, len(sequences) + 1))
    for record in records:
        envelope = decode(record.value, record.headers)
        assert (envelope.event.topic(), str(envelope.subject).encode()) == (record.topic, record.key)
        assert envelope.source.removeprefix("sojourn/") in catalogue.BY_NAME[topic].producers


def test_events_have_ids_of_their_own():
    everything = [*history(TOPICS), *tombstones(TOPICS)]
    assert len({record.event_id for record in everything}) == len(everything)


def test_nothing_else_names_who_is_forgotten():
    for record in history(list(TOPICS)):
        if record.subject not in FORGOTTEN:
            assert not any(subject.encode() in (record.value or b"") for subject in FORGOTTEN)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_subscriber_of_one_topic_is_told_tombstones_too(topic: str):
    assert {record.topic for record in tombstones([topic])} == {topic}


MODULE = """
import pytest
from tests.subscribers.samples import {name}

@pytest.fixture
def sojourn_subscriber():
    return {name}()
"""


def test_a_module_with_the_fixture_has_a_test_for_each_check(
    pytester: pytest.Pytester, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
):
    [ours] = entry_points(group="pytest11", name="sojourn-contracts")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    modules = {name: MODULE.format(name=kind.__name__) for name, kind in (("right", Right), ("wrong", BROKEN["gaps"]))}
    pytester.makepyfile(**{f"test_{name}": text for name, text in modules.items()})
    ran = pytester.runpytest_inprocess("-q", "-p", ours.value, "-o", f"pythonpath={pytestconfig.rootpath}")
    outcomes = ran.parseoutcomes()
    assert outcomes["passed"] + outcomes["failed"] == 2 * len(CHECKS)
    ran.stdout.fnmatch_lines(
        [
            "Sequences may have holes: nothing waits for what never comes.",
            "What happened: * subjects are not as after the plain history: *: absent, not *",
            "FAILED test_wrong.py::test_conformance[[]gaps[]]*",
        ]
    )
    ran.stdout.no_fnmatch_line("FAILED test_right.py*")
