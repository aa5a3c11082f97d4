"""Figures of the moment, live and published: who is told what, and that a rebuild comes to the same."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from chassis.identity import Role
from chassis.inbox import arrival
from chassis.transaction import Cause
from laptop.topics import create_topics
from sojourn_contracts.company import CompanyRegistered
from sojourn_contracts.exchange import ExchangeUpdated
from sojourn_contracts.survey import SurveySubmitted
from survey import store as read_model
from survey.evaluation import live, rebuild, store
from survey.evaluation.evaluate import evaluate
from survey.evaluation.figures import encoded, plain
from survey.evaluation.steps import StepTooSmall, replayed
from survey.questionnaires.published import newest

from tests.chassis_driver import Driver, Record, record
from tests.survey.story import (
    ACCEPTED,
    AGREED,
    COMPLETED,
    DECLINED,
    DRAFTED,
    EXCHANGE,
    HOST,
    HOST_REGISTERED,
    NOON,
    ONGOING,
    PROPOSED,
    SENDER,
    SENDER_LEFT,
    SENDER_REGISTERED,
    SENDER_UPDATED,
    completed,
    example,
    registered,
)

QUESTIONNAIRE = newest()


def submitted(number: int, **changes: object) -> SurveySubmitted:
    """One of many, of a company that may have answered before."""
    answers = {"SEND_MATCH": ["5", "2", "4", "98"][number % 4], "NEWPROD": ["yes", "no"][number % 2]}
    event = example(
        SurveySubmitted,
        record_id=uuid4(),
        party="sender",
        wave=1,
        country=["AT", "PT", "DE"][number % 3],
        company_cluster=f"{number % 7:064x}",
        answers=answers,
    )
    return event.model_copy(update=changes)


async def release(survey: Driver, *events: SurveySubmitted) -> None:
    """As the night's release does."""
    async with survey.process.open_transaction(Cause()) as tx:
        tx.emit_unlinked(*events)
        await store.add_submissions(tx, events, {QUESTIONNAIRE.version: QUESTIONNAIRE})


async def present(survey: Driver) -> bytes:
    async with survey.process.open_transaction(Cause()) as tx:
        _, figures = await live.present(tx, QUESTIONNAIRE)
    return encoded(figures)


async def publish(survey: Driver, snapshot_id: str, threshold: int = 5) -> store.Publication:
    async with survey.process.open_transaction(Cause()) as tx:
        await store.summed(tx)
        counts = await store.counts(tx, QUESTIONNAIRE.version)
        return await store.publish(tx, counts, QUESTIONNAIRE, snapshot_id, "1.2.3", threshold)


def set_(survey: Driver, monkeypatch: pytest.MonkeyPatch, **settings: object) -> None:
    monkeypatch.setattr(survey.process, "settings", survey.process.settings.model_copy(update=settings))


async def test_companies_that_answer_several_times_are_known_as_clusters(survey):
    await release(survey, *(submitted(number) for number in range(10)))
    await release(survey, *(submitted(number) for number in range(10, 20)))
    indicators = json.loads(await present(survey))["indicators"]
    [found] = [each for each in indicators if (each["code"], each["wave"]) == ("NEWPROD", 1)]
    assert (found["valid"], found["count"], found["clusters"]) == (20, 10, 7)
    async with survey.process.open_transaction(Cause()) as tx:
        counts = await store.counts(tx, QUESTIONNAIRE.version)
    [sums] = [each for each in counts.clusters if each.indicator == "NEWPROD"]
    of_company = [[n for n in range(20) if n % 7 == company] for company in range(7)]
    assert (sums.valid_squared, sums.valid_favourable, sums.favourable_squared) == (
        sum(len(each) ** 2 for each in of_company),
        sum(len(each) * sum(n % 2 == 0 for n in each) for each in of_company),
        sum(sum(n % 2 == 0 for n in each) ** 2 for each in of_company),
    )


async def test_cells_of_few_answers_are_hidden_from_the_evaluation(survey):
    few = submitted(0, country="MT", answers={"NEWPROD": "yes"})
    others = [submitted(0, country=country, answers={"NEWPROD": "no"}) for country in ("AT", "DE") for _ in range(9)]
    await release(survey, few, *others)
    cells = json.loads(await present(survey))["cells"]
    shown = {each["category"]: each["valid"] for each in cells if each["dimension"] == "country"}
    assert shown["MT"] is None
    assert list(shown.values()).count(None) >= 2


async def test_the_funnel_knows_first_times_and_the_scarcity_of_hosts(survey):
    at_noon = [SENDER_REGISTERED, HOST_REGISTERED, PROPOSED]
    await survey.handle(*at_noon, ACCEPTED, DRAFTED, AGREED, ONGOING, COMPLETED)
    programme = json.loads(await present(survey))["programme"]
    funnel = {each["stage"]: each for each in programme["funnel"]}
    assert funnel["proposed"]["median_days"] == 0.0
    assert funnel["completed"]["number"] == 1
    assert funnel["agreed"]["conversion"] == 1.0
    took = (COMPLETED.changed_at - ONGOING.changed_at).days
    assert funnel["completed"]["median_days"] == max(0, took)
    offers = {each["country"]: each for each in programme["scarcity"]}[HOST_REGISTERED.country]
    assert offers["hosting_places"] == sum(offer.capacity for offer in HOST_REGISTERED.offers)
    assert programme["flows"] == [
        {"sender_country": COMPLETED.sender_country, "host_country": COMPLETED.host_country, "number": 1}
    ]


async def test_a_company_that_leaves_or_is_erased_takes_its_places_along(survey):
    await survey.handle(SENDER_REGISTERED, HOST_REGISTERED)
    before = json.loads(await present(survey))["programme"]["scarcity"]
    assert before
    await survey.handle(SENDER_LEFT)
    await survey.erase(CompanyRegistered, HOST)
    programme = json.loads(await present(survey))["programme"]
    assert (programme["scarcity"], programme["left"]) == ([], 1)


async def test_numbers_are_the_same_whatever_order_a_proposal_and_its_senders_registration_come_in(survey):
    await survey.handle(PROPOSED, SENDER_REGISTERED)
    one_way = await present(survey)
    for event, subject in ((CompanyRegistered, SENDER), (ExchangeUpdated, EXCHANGE)):
        await survey.erase(event, subject)
    other = completed(7)
    proposed = PROPOSED.model_copy(
        update={"match_id": other.exchange_id, "sender_id": other.sender_id, "traveller_id": other.traveller_id}
    )
    sender = SENDER_REGISTERED.model_copy(update={"company_id": other.sender_id})
    await survey.handle(sender, proposed)
    assert await present(survey) == one_way


async def test_nothing_is_published_until_somebody_publishes(survey):
    answer = await survey.http.get("/figures")
    assert (answer.status_code, answer.json()["rule"]) == (404, "nothing_published")


async def test_the_public_gets_the_last_publication_with_its_snapshot_and_code(survey):
    await release(survey, *(submitted(number) for number in range(40)))
    first = await publish(survey, "8001")
    await release(survey, *(submitted(number) for number in range(60)))
    second = await publish(survey, "8002")
    answer = (await survey.http.get("/figures")).json()
    assert (answer["step"], answer["snapshot_id"], answer["code_version"]) == (2, "8002", "1.2.3")
    assert (answer["threshold"], answer["figures"]["submissions"]) == (5, 100)
    assert answer["figures"] == json.loads(second.figures) != json.loads(first.figures)


async def test_a_step_of_too_few_is_not_published_and_the_public_still_gets_the_last_one(survey):
    await release(survey, *(submitted(number) for number in range(40)))
    await publish(survey, "8001")
    await release(survey, *(submitted(number) for number in range(4)))
    with pytest.raises(StepTooSmall):
        await publish(survey, "8002")
    assert (await survey.http.get("/figures")).json()["snapshot_id"] == "8001"


async def test_any_publication_is_recomputed_byte_for_byte_from_what_it_was_made_of(survey):
    history = []
    for number in (40, 7, 60):
        await release(survey, *(submitted(each) for each in range(number)))
        async with survey.process.open_transaction(Cause()) as tx:
            await store.summed(tx)
            history.append((await store.counts(tx, QUESTIONNAIRE.version), 5))
        await publish(survey, str(number))
    async with survey.process.open_transaction(Cause()) as tx:
        published = await store.publications(tx, QUESTIONNAIRE.version)
    assert [each.step for each in published] == [1, 2, 3]
    for each in published:
        again = replayed(history[: each.step], QUESTIONNAIRE)
        assert again == each.released
        assert encoded(evaluate(again.told, QUESTIONNAIRE)) == each.figures


@pytest.mark.parametrize("path", ["/evaluation", "/figures"])
async def test_an_unknown_questionnaire_is_refused_with_those_that_there_are(survey, path):
    answer = await survey.http.get(f"{path}?questionnaire=1999.1", headers=survey.token(Role.ANALYST))
    [wrong] = answer.json()["errors"]
    assert (answer.status_code, wrong["path"], wrong["allowed"]) == (422, "questionnaire", QUESTIONNAIRE.version)


class Stream:
    """A client that reads an answer as it comes; httpx's transport for applications waits for its end."""

    def __init__(self, survey: Driver, last: str | None = None, role: Role = Role.EVALUATOR) -> None:
        self._parts: asyncio.Queue[dict] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._text = ""
        headers = survey.token(role) | ({"Last-Event-ID": last} if last else {})
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "path": "/evaluation/live",
            "raw_path": b"/evaluation/live",
            "query_string": b"",
            "scheme": "http",
            "server": ("service", 80),
            "client": ("client", 1),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
        self._task = asyncio.create_task(survey.process.app(scope, self._receive, self._parts.put))

    async def _receive(self) -> dict:
        if not self._gone.is_set():
            self._gone.set()
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.Event().wait()
        return {}

    async def status(self) -> int:
        return (await asyncio.wait_for(self._parts.get(), 10))["status"]

    async def event(self) -> tuple[str, dict]:
        """Id and figures of the next event; what the server says besides is passed over."""
        while True:
            while "\n\n" not in self._text:
                part = await asyncio.wait_for(self._parts.get(), 10)
                self._text += part["body"].decode()
            said, _, self._text = self._text.partition("\n\n")
            fields = dict(line.split(": ", 1) for line in said.split("\n") if not line.startswith(":"))
            if fields.get("event") == "figures":
                return fields["id"], json.loads(fields["data"])

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@asynccontextmanager
async def following(survey: Driver, **how: object) -> AsyncIterator[Stream]:
    stream = Stream(survey, **how)
    try:
        yield stream
    finally:
        await stream.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "EVERY", 0.02)


async def test_an_evaluator_sees_the_figures_at_once_and_then_each_change(survey, quick):
    await release(survey, *(submitted(number) for number in range(6)))
    async with following(survey) as stream:
        assert await stream.status() == 200
        first, figures = await stream.event()
        assert figures["submissions"] == 6
        await release(survey, submitted(1))
        second, figures = await stream.event()
        assert (figures["submissions"], int(second) > int(first)) == (7, True)


async def test_who_comes_back_gets_only_what_is_new(survey, quick):
    await release(survey, *(submitted(number) for number in range(6)))
    async with following(survey) as stream:
        await stream.status()
        last, _ = await stream.event()
    async with following(survey, last=last) as again:
        assert await again.status() == 200
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(again.event(), 0.3)
        await release(survey, submitted(1))
        _, figures = await again.event()
        assert figures["submissions"] == 7


async def test_who_missed_something_or_says_nonsense_gets_the_figures_of_now(survey, quick):
    await release(survey, submitted(1))
    for last in ("0", "no-id", "99999999999999"):
        async with following(survey, last=last) as stream:
            await stream.status()
            assert (await stream.event())[1]["submissions"] == 1


async def test_no_more_follow_than_the_setting_says(survey, quick, monkeypatch):
    set_(survey, monkeypatch, live_listeners=1)
    await release(survey, submitted(1))
    async with following(survey) as stream:
        await stream.status()
        await stream.event()
        refused = await survey.http.get("/evaluation/live", headers=survey.token(Role.ANALYST))
        assert (refused.status_code, refused.json()["rule"]) == (503, "too_many_listeners")
        assert refused.headers["Retry-After"]
    async with following(survey) as next_one:
        assert await next_one.status() == 200
        await next_one.event()


async def test_a_process_that_stops_lets_those_who_follow_go(survey, quick, monkeypatch):
    await release(survey, submitted(1))
    stream = Stream(survey)
    await stream.status()
    await stream.event()
    monkeypatch.setattr(survey.process, "stopping", True)
    await asyncio.wait_for(stream._task, 10)


@pytest.mark.parametrize("role", [Role.COMPANY, Role.TRAVELLER, Role.CONTACT_POINT])
async def test_nobody_else_follows(survey, role):
    headers = survey.token(role, company_id=uuid4(), person_id=uuid4(), country="DE")
    assert (await survey.http.get("/evaluation/live", headers=headers)).status_code == 403
    assert (await survey.http.get("/evaluation/live")).status_code == 401


HISTORY = [SENDER_REGISTERED, SENDER_UPDATED, HOST_REGISTERED, PROPOSED, ACCEPTED, DRAFTED, AGREED, ONGOING, COMPLETED]
ANOTHER = PROPOSED.model_copy(update={"match_id": UUID(int=99)})
REFUSED = DECLINED.model_copy(update={"match_id": UUID(int=99)})
ERASED = [registered(UUID(int=5)), (CompanyRegistered, UUID(int=5))]


async def send(kafka: str, records: list[Record]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    try:
        for each in records:
            await producer.send_and_wait(each.topic, each.value, each.key, headers=each.headers)
    finally:
        await producer.stop()


@pytest.fixture
async def topics(kafka: str) -> AsyncIterator[str]:
    """The broker, with nothing on the topics that the read model is made of, and more partitions than the catalogue says.

    Other tests use it as well: they find it as it was.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)

    async def made_anew() -> None:
        await admin.delete_topics([*rebuild.FOLLOWED])
        async with asyncio.timeout(30):
            while {*rebuild.FOLLOWED} & {*await admin.list_topics()}:
                await asyncio.sleep(0.05)
            await create_topics(kafka)
            while not {*rebuild.FOLLOWED} <= {*await admin.list_topics()}:
                await asyncio.sleep(0.05)

    await admin.start()
    try:
        await made_anew()
        await admin.create_partitions({name: NewPartitions(16) for name in rebuild.FOLLOWED})
        yield kafka
        await made_anew()
    finally:
        await admin.close()


async def test_a_rebuild_from_the_topics_and_the_log_gives_the_same_figures(survey, topics, monkeypatch):
    set_(survey, monkeypatch, kafka_bootstrap_servers=topics)
    steps = [*HISTORY, ANOTHER, REFUSED, *ERASED]
    records = [record(*each) if isinstance(each, tuple) else record(each) for each in steps]
    await send(topics, [*records, *records[:3]])
    for each in records:
        await survey.deliver(arrival(each))
    await release(survey, *(submitted(number) for number in range(30)))
    await survey.run_due(NOON + timedelta(days=1))
    before = await present(survey)
    assert json.loads(before)["programme"]["funnel"][-1]["number"] == 1
    await survey.rows("update company set profile = null")
    await survey.rows("delete from exchange")
    await survey.rows("delete from company_answers")
    await survey.rows("update tally set number = number + 1")
    assert await present(survey) != before
    found = await rebuild.rebuild(survey.process)
    assert await present(survey) == before
    assert (found.submissions, found.unknown) == (30, ())
    again = await rebuild.rebuild(survey.process)
    assert (again, await present(survey)) == (found, before)


async def test_a_rebuild_keeps_first_times_that_compacted_topics_no_longer_tell(survey):
    await survey.handle(*HISTORY)
    told = rebuild.Told()
    newest_per_key = [SENDER_REGISTERED, SENDER_UPDATED, HOST_REGISTERED, PROPOSED, ONGOING, AGREED, COMPLETED]
    for event in newest_per_key:
        envelope = arrival(record(event)).envelope
        assert envelope is not None
        told.hear(envelope)
    async with survey.process.open_transaction(Cause()) as tx:
        known = await read_model.exchanges(tx)
    _, [alone] = told.settled(set(), [])
    _, [kept] = told.settled(set(), known)
    assert "accepted" not in alone.reached
    assert [kept] == known


async def test_submissions_of_a_version_that_is_not_known_yet_are_kept_and_told(survey, kafka, monkeypatch):
    set_(survey, monkeypatch, kafka_bootstrap_servers=kafka)
    await release(survey, submitted(1), submitted(2, questionnaire="2031.1"))
    found = await rebuild.rebuild(survey.process)
    assert (found.submissions, found.unknown) == (2, ("2031.1",))
    assert plain(evaluate((await _counts(survey)), QUESTIONNAIRE))["submissions"] == 1


async def _counts(survey: Driver):
    async with survey.process.open_transaction(Cause()) as tx:
        return await store.counts(tx, QUESTIONNAIRE.version)
