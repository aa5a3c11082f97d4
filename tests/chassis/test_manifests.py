"""Manifests are issued for closed hours of the day, once, without holes; they say what the log says."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from chassis.doors import OnEvent
from chassis.manifest_keys import read
from chassis.service import Process, Service
from chassis.settings import Settings
from chassis.transaction import MANIFESTS, Cause
from joserfc.jwk import ECKey, OKPKey
from pydantic import ValidationError
from sojourn_contracts import catalogue
from sojourn_contracts.company import CompanyRegistered
from sojourn_contracts.completeness import Received, Stream, verify
from sojourn_contracts.event import Event
from sojourn_contracts.manifest import ManifestIssued, SurveyManifestIssued, check, trusted_keys
from sojourn_contracts.match import MatchDeclined, MatchProposed
from sojourn_contracts.notice import NoticeDue
from sojourn_contracts.survey import SurveySubmitted

from chassis import due, manifests, outbox
from tests.chassis.given import MIGRATIONS, a_service, an, cancelled, declined, note
from tests.chassis.manifesting import hours_ago, issued, look, move, published
from tests.chassis_driver import NOON, Driver
from tests.conftest import Driving

SOURCE = "sojourn/exchange"


async def keys_of(driver: Driver) -> dict[str, Any]:
    answer = await driver.http.get("/.well-known/manifest-keys.json")
    assert answer.status_code == 200
    return answer.json()


async def received(driver: Driver, source: str = SOURCE) -> Received:
    """What a subscriber gets that misses nothing."""
    found = Received()
    for row in await driver.rows("select topic, generation, sequence, event_id, subject, written_at from event_log"):
        stream = Stream(row["topic"], source, row["generation"])
        found.add(stream, row["sequence"], row["event_id"], row["subject"], row["written_at"])
    return found


async def assert_all_is_proven(driver: Driver, made: Sequence[ManifestIssued], until: datetime) -> None:
    keys = trusted_keys(await keys_of(driver))
    verdict = verify(await received(driver), made, keys, read_at=datetime.now(UTC))
    assert verdict.lost == verdict.refused == ()
    of_topics = [found for found in verdict.streams if found.stream.topic in {each.topic_name for each in made}]
    assert [(found.missing, found.altered, found.until) for found in of_topics] == [((), (), until)] * len(of_topics)


async def test_each_hour_that_is_over_and_had_events_gets_one_manifest_that_names_the_one_before(driver: Driver):
    for hours, count in ((30, 3), (29, 1), (5, 4), (0, 2)):
        await published(driver, hours_ago(hours), *(declined() for _ in range(count)))
    await driver.rows("update event_log set event_id = gen_random_uuid()")  # their order is not the sequence's
    made = await look(driver)
    assert [(each.hour, each.first_sequence, each.last_sequence, each.count) for each in made] == [
        (hours_ago(30), 1, 3, 3),
        (hours_ago(29), 4, 4, 1),
        (hours_ago(5), 5, 8, 4),
    ]
    assert made[0].previous is None
    assert all(later.previous == earlier.manifest_id for earlier, later in pairwise(made))
    ids = [row["event_id"].bytes for row in await driver.rows("select event_id from event_log order by sequence")]
    assert made[2].digest == sha256(b"".join(ids[4:8])).hexdigest()
    for each in made:
        check(each, trusted_keys(await keys_of(driver)))
    await assert_all_is_proven(driver, made, hours_ago(4))
    assert await look(driver) == made, "and not again"


async def test_every_topic_has_manifests_of_its_own(driver: Driver):
    await published(driver, hours_ago(3), declined(), cancelled(), declined(), an(NoticeDue))
    made = await look(driver)
    assert [(each.topic_name, each.source, each.count, each.previous) for each in made] == [
        ("MatchDeclined", SOURCE, 2, None),
        ("ExchangeCancelled", SOURCE, 1, None),
    ]
    await move(driver)
    assert await look(driver) == made, "manifests have none, nor do internal topics"
    await assert_all_is_proven(driver, made, hours_ago(2))


@pytest.mark.parametrize(
    ("service", "event", "kind"),
    [
        ("registration", CompanyRegistered, ManifestIssued),
        ("matching", MatchProposed, ManifestIssued),
        ("survey", SurveySubmitted, SurveyManifestIssued),
    ],
)
async def test_each_service_issues_them_and_those_of_the_surveys_records_are_for_who_may_read_these(
    driving: Driving, manifest_key: Path, service: str, event: type[Event], kind: type[ManifestIssued]
):
    notes = [OnEvent(topic.event, note) for topic in catalogue.consumed_by(service)]
    driver = await driving(Service(service, MIGRATIONS, notes), manifest_key=manifest_key)
    await published(driver, hours_ago(2), an(event))
    [made] = await look(driver)
    assert (type(made), made.topic_name, made.source) == (kind, event.topic(), f"sojourn/{service}")
    topic = catalogue.BY_NAME[kind.__name__]
    assert topic.visibility is catalogue.BY_NAME[event.__name__].visibility


async def test_an_hour_is_left_alone_until_a_while_after_its_end(driver: Driver, monkeypatch: pytest.MonkeyPatch):
    await published(driver, hours_ago(1, minutes=-59), declined())
    monkeypatch.setattr(manifests, "GRACE", timedelta(hours=2))
    assert await look(driver) == []
    monkeypatch.setattr(manifests, "GRACE", timedelta())
    assert len(await look(driver)) == 1


async def test_the_next_look_is_when_the_next_hour_is_over_and_no_replay_waits_for_it(driver: Driver):
    await published(driver, hours_ago(3), declined())
    async with driver.process.pool.acquire() as connection:
        await due.begin(connection, MANIFESTS)
        assert (await due.figures(connection, NOON))["ready"] == 0
    await look(driver)
    [planned] = await driver.rows("select not_before, at from due where kind = $1", MANIFESTS)
    assert planned["not_before"] in (hours_ago(-1) + manifests.GRACE, hours_ago(0) + manifests.GRACE)
    assert planned["not_before"] > datetime.now(UTC)
    async with driver.process.pool.acquire() as connection:
        figures: dict[str, Any] = await due.figures(connection, NOON)
    assert (figures["ready"], figures["backing_off"], figures["next_at"]) == (0, 0, None)


async def test_what_came_to_the_log_after_its_hours_manifest_stands_in_the_next_one(driver: Driver):
    await published(driver, hours_ago(6), declined())
    await look(driver)
    await published(driver, hours_ago(6, minutes=-40), declined())
    await published(driver, hours_ago(4), declined())
    await published(driver, hours_ago(4, minutes=2), declined())
    made = await look(driver)
    assert [(each.hour, each.first_sequence, each.last_sequence) for each in made] == [
        (hours_ago(6), 1, 1),
        (hours_ago(5), 2, 2),
        (hours_ago(4), 3, 4),
    ]
    await assert_all_is_proven(driver, made, hours_ago(3))


async def test_what_comes_late_just_after_its_hour_waits_for_the_hour_that_it_is_counted_to(driver: Driver):
    await published(driver, hours_ago(1), declined())
    await published(driver, hours_ago(1), declined(), unmoved=True)
    assert [each.last_sequence for each in await look(driver)] == [1]
    await move(driver)
    assert [each.last_sequence for each in await look(driver)] == [1], "its hour is the present one"


async def test_a_restored_log_goes_on_with_a_generation_of_its_own(driver: Driver):
    await published(driver, hours_ago(6), declined(), declined())
    await published(driver, hours_ago(4), declined())
    before = await look(driver)
    await published(driver, hours_ago(3), declined())
    await driver.rows("update log_generation set generation = 2")
    await published(driver, hours_ago(3), declined(), declined())
    made = await look(driver)
    assert [(each.generation, each.hour, each.first_sequence, each.last_sequence) for each in made[2:]] == [
        (1, hours_ago(3), 4, 4),
        (2, hours_ago(3), 5, 6),
    ]
    assert made[:2] == before
    assert made[3].previous == made[2].manifest_id
    await assert_all_is_proven(driver, made, hours_ago(2))


async def test_tombstones_and_erased_events_are_counted_like_all_others(driver: Driver):
    event = declined()
    await published(driver, hours_ago(3), event, declined())
    async with driver.process.open_transaction(Cause()) as tx:
        tx.erase(MatchDeclined, event.match_id)
    await driver.rows("update outbox set written_at = $1", hours_ago(3))
    await move(driver)
    made = await look(driver)
    assert [row["data"] is None for row in await driver.rows("select data from event_log order by sequence")] == [
        True, False, True,
    ]  # fmt: skip
    assert [each.count for each in made] == [3]
    await assert_all_is_proven(driver, made, hours_ago(2))


async def test_processes_that_look_at_once_issue_each_manifest_once(driver: Driver):
    for hours in range(12, 2, -1):
        await published(driver, hours_ago(hours), declined(), cancelled())
    others = [Process(a_service(), driver.process.settings) for _ in range(3)]
    async with driver.process.pool.acquire() as connection:
        await due.begin(connection, MANIFESTS)
    try:
        for other in others:
            await other.pool
        for _ in range(15):
            await asyncio.gather(*(process.due.round() for process in (driver.process, *others)))
    finally:
        for other in others:
            await other.pool.close()
    made = await issued(driver)
    assert len(made) == len({each.manifest_id for each in made}) == 20
    await assert_all_is_proven(driver, made, hours_ago(2))


async def test_a_crash_before_the_commit_issues_nothing_and_the_next_look_issues_it(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
):
    await published(driver, hours_ago(3), declined())
    write = outbox.write

    async def crash(*arguments: Any) -> None:
        await write(*arguments)
        raise ConnectionResetError

    with monkeypatch.context() as crashing:
        crashing.setattr(outbox, "write", crash)
        with pytest.raises(ConnectionResetError):
            await look(driver)
    assert await issued(driver) == []
    assert await driver.rows("select topic from manifest") == []
    assert len(await look(driver)) == 1


async def test_a_log_with_holes_is_not_signed_for_and_an_operator_sees_why(driver: Driver):
    await published(driver, hours_ago(3), *(declined() for _ in range(4)))
    await driver.rows("delete from event_log where sequence = 2")
    assert await look(driver) == []
    [parked] = await driver.rows("select cause from due where kind = $1 and parked_at is not null", MANIFESTS)
    assert "MatchDeclined has 3 rows from 1 to 4" in parked["cause"]


async def test_the_public_keys_are_told_to_everybody_and_no_private_one_is(
    driving: Driving, driver: Driver, tmp_path: Path
):
    document = await keys_of(driver)
    [told] = document["keys"]
    assert told.keys() == {"kty", "crv", "x", "kid", "use", "alg", "source"}
    assert (told["alg"], told["source"]) == ("Ed25519", SOURCE)
    bare = await driving(a_service())
    assert await keys_of(bare) == {"keys": []}


async def test_a_new_key_signs_and_what_its_predecessor_signed_is_still_verified(
    driving: Driving, driver: Driver, tmp_path: Path
):
    await published(driver, hours_ago(5), declined())
    [old] = await look(driver)
    former = json.loads(driver.process.settings.manifest_key.read_text())
    public = {name: value for name, value in former.items() if name != "d"}
    new = OKPKey.generate_key("Ed25519", auto_kid=True)
    both = tmp_path / "both.json"
    both.write_text(json.dumps({"keys": [new.as_dict(private=True), public]}))
    driver.process.due._doors[MANIFESTS] = manifests.door(read(both))
    await published(driver, hours_ago(3), declined())
    made = await look(driver)
    keys = trusted_keys(read(both).document(SOURCE))
    for each in made:
        check(each, keys)
    assert json.dumps(made[1].signature) != json.dumps(old.signature)
    assert set(keys) == {new.kid, former["kid"]}
    later = {kid: key for kid, key in keys.items() if kid == new.kid}
    check(made[1], later)


async def test_without_a_key_no_manifest_is_issued_and_that_is_said_once(
    driving: Driving, caplog: pytest.LogCaptureFixture
):
    driver = await driving(a_service())
    await published(driver, hours_ago(3), declined())
    async with driver.process.running():
        assert await look(driver) == []
    assert caplog.text.count("MANIFEST_KEY is not set") == 1


def settings(path: Path) -> Settings:
    return Settings.model_validate(
        {
            "database_url": "postgresql://x@y/z",
            "kafka_bootstrap_servers": "k:1",
            "jwks": "keys.json",
            "manifest_key": path,
        }
    )


def unusable() -> Iterator[tuple[str, str]]:
    key = OKPKey.generate_key("Ed25519", auto_kid=True)
    private, public = key.as_dict(private=True), key.as_dict(private=False)
    others = [ECKey.generate_key().as_dict(private=True), OKPKey.generate_key("X25519").as_dict(private=True)]
    for content in ("", "{", "[]", '"x"', "{}", json.dumps({"keys": ["x"]}), json.dumps(others[0])):
        yield content, "should be a JSON Web Key"
    for content in (
        public,
        others[1],
        {"keys": []},
        {"keys": {}},
        {"keys": [public, private]},
        {"keys": [private, others[1]]},
    ):
        yield json.dumps(content), "should be keys for Ed25519, the first one private"
    yield json.dumps({"keys": [private, public]}), "should be keys with names of their own"


@pytest.mark.parametrize(("content", "says"), [*unusable()])
def test_a_key_that_cannot_sign_is_found_at_the_start(tmp_path: Path, content: str, says: str):
    path = tmp_path / "key.json"
    path.write_text(content)
    with pytest.raises(ValidationError, match=says) as refused:
        settings(path)
    assert '"d"' not in str(refused.value)
    with pytest.raises(ValidationError, match="no such file"):
        settings(tmp_path / "nowhere.json")
