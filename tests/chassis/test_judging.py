"""What a doctor makes of what it saw, where a machine of one broker and one PostgreSQL cannot show it."""

import pytest
from chassis.doctor import judging
from chassis.doctor.judging import Severity, Topic, Wanted

SHOULD = {"NoticeDue": Wanted(6, {"retention.ms": "1000"})}


@pytest.mark.parametrize("version", [160_011, 169_999, 90_600])
def test_a_postgresql_before_17_is_named_with_what_it_lacks(version: int):
    [finding] = judging.server(version)
    assert (finding.check, finding.severity) == ("versions", Severity.CRITICAL)
    assert finding.wrong == f"PostgreSQL is version {version // 10_000}, which has no transaction_timeout"
    assert finding.remedy == "upgrade it to 17 or later"


@pytest.mark.parametrize("version", [170_000, 170_006, 180_001])
def test_a_postgresql_from_17_on_is_fine(version: int):
    assert list(judging.server(version)) == []


@pytest.mark.parametrize(
    ("seen", "severity", "wrong"),
    [
        (Topic(6, out_of_sync=2), Severity.WARNING, "2 partitions of NoticeDue have replicas that are behind"),
        (Topic(6, leaderless=1, out_of_sync=6), Severity.CRITICAL, "1 partitions of NoticeDue have no leader"),
        (Topic(5), Severity.CRITICAL, "NoticeDue has 5 partitions, fewer than 6"),
    ],
)
def test_a_topic_of_which_a_broker_is_missing_is_named(seen: Topic, severity: Severity, wrong: str):
    [finding] = judging.topics(SHOULD, {"NoticeDue": seen})
    assert (finding.check, finding.severity, finding.wrong) == ("topics", severity, wrong)


def test_a_topic_that_is_as_wanted_or_has_more_partitions_is_fine():
    assert list(judging.topics(SHOULD, {"NoticeDue": Topic(8, configuration={"retention.ms": "1000"})})) == []
