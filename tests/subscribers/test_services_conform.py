"""Our four services keep what the kit asks of a subscriber, each on all events that it consumes; its own tests ask for more.

Of its tables, what it was told is looked at, not what it decided: which exchange is withdrawn by a company's change depends on
which of them came first.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import exchange.main
import matching.main
import pytest
import registration.main
import survey.main
from chassis.batch import Batches
from chassis.inbox import Arrival, arrival
from chassis.service import Service
from laptop.roles import Database, drop, provision
from sojourn_contracts import catalogue
from sojourn_contracts.kit.history import NOON, Record, id_of

from tests.chassis_driver import Driver, driving
from tests.migrated import migrated

DOORS = ("inbox", "outbox", "due", "erased", "dead_letter")
NOT_ERASED = "not in (select subject from erased)"
ERASURES = "select subject, kind from due where kind = 'erasure_done'"
"""What was asked for by an ErasureRequested, under the erasure's id."""
EFFECTS = """
select causation_id, max(times) from (
    select causation_id, count(*) as times from outbox group by causation_id, type, subject
) as emitted where causation_id is not null group by causation_id
"""
"""How often an event had something emitted about a subject."""


@dataclass(frozen=True)
class Looked:
    """Where a service keeps what it was told."""

    service: Service
    tables: Sequence[str]
    """Which it fills by what it is told, those first that refer to others."""
    subjects: Sequence[str]
    """Queries for a subject's id and what is known of it."""
    before: str = "select"
    """What has happened before the history begins."""
    untold: frozenset[str] = field(default=frozenset())


SERVICES: dict[str, Looked] = {
    "registration": Looked(
        registration.main.service,
        ("mail", "notice", "erasure_answer", "erasure"),
        (
            "select notice_id, jsonb_build_array(asked_by, recipient_id, template, parameters)::text from notice",
            "select erasure_id, json_agg(service order by service)::text from erasure_answer group by erasure_id",
        ),
        before="insert into erasure (erasure_id, kind, erased_id, requested_at) values "
        + ", ".join(
            f"('{id_of(f'erasure of {name}')}', 'person', '{id_of(name)}', '{NOON.isoformat()}')"
            for name in ("somebody", "somebody else")
        ),
    ),
    "matching": Looked(
        matching.main.service,
        ("edges", "interests", "offers", "placements", "matches", "companies"),
        (
            "select company_id, jsonb_build_array(revision, kind, withdrawn, payload->'revision')::text from companies"
            f" where company_id {NOT_ERASED}",
            "select match_id, jsonb_build_array(state, revision, kind, payload->'revision')::text from matches"
            " where state <> 'erased'",
            ERASURES,
        ),
    ),
    "exchange": Looked(
        exchange.main.service,
        ("exchange", "company"),
        (
            "select company_id, jsonb_build_array(profile->'revision', gone)::text from company"
            f" where company_id {NOT_ERASED}",
            "select exchange_id, (proposal->'revision')::text from exchange where proposal is not null",
            ERASURES,
        ),
    ),
    "survey": Looked(
        survey.main.service,
        ("invitation", "exchange", "company"),
        (
            "select company_id, jsonb_build_array(profile->'revision', withdrawn)::text from company where not erased",
            "select exchange_id, jsonb_build_array(event, payload->'revision', stage)::text from exchange",
            ERASURES,
        ),
        # of notices, it takes the answers to those alone that it asked for itself
        untold=frozenset({"NoticeSent"}),
    ),
}


class OneOfOurs:
    """A service's process whose records come from the kit."""

    def __init__(self, run: Callable[[Any], Any], driver: Driver, looked: Looked) -> None:
        consumed = {topic.name for topic in catalogue.consumed_by(looked.service.name)}
        self.topics = consumed - looked.untold
        self._run = run
        self._driver = driver
        self._looked = looked
        self._empty = "; ".join((*(f"delete from {table}" for table in (*DOORS, *looked.tables)), looked.before))

    def reset(self) -> None:
        self._run(self._execute(self._empty))
        inbox = self._driver.process.inbox
        self._batches = Batches[Arrival](inbox.handle, inbox.set_aside)

    def feed(self, records: Sequence[Record]) -> None:
        self._run(self._batches.run(deque(arrival(record) for record in records)))

    def state(self) -> Mapping[str, Any]:
        return self._run(self._state())

    async def _execute(self, statements: str) -> None:
        async with self._driver.process.pool.acquire() as connection:
            await connection.execute(statements)

    async def _state(self) -> Mapping[str, Any]:
        subjects = [row for query in self._looked.subjects for row in await self._driver.rows(query)]
        effects = await self._driver.rows(EFFECTS)
        return {"subjects": {str(id_): told for id_, told in subjects}, "effects": dict(map(tuple, effects))}


@pytest.fixture(scope="module", params=SERVICES)
def sojourn_subscriber(
    request: pytest.FixtureRequest, postgres: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OneOfOurs]:
    """On an event loop of its own: the checks are plain functions."""
    looked = SERVICES[request.param]
    service = looked.service
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner, ExitStack() as stack:
        database = runner.run(provision(postgres.admin_url, postgres.passwords, f"t_{uuid4().hex[:12]}"))
        stack.callback(lambda: runner.run(drop(database)))
        runner.run(migrated(database, service.name, service.migrations))
        open_ = AsyncExitStack()
        stack.callback(lambda: runner.run(open_.aclose()))
        url, folder = database.url(service.name), tmp_path_factory.mktemp(service.name)
        driver: Driver = runner.run(open_.enter_async_context(driving(service, url, folder)))
        yield OneOfOurs(runner.run, driver, looked)
