"""A POST that creates may be repeated: on a real database, also at the same moment and after failures."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from chassis.http import Tx, application
from chassis.idempotency import Once
from chassis.identity import Caller, KeySource, MaybeCaller, Role, issue
from chassis.metrics import Metrics
from chassis.migrations import migrate
from chassis.transaction import Cause
from fastapi import APIRouter
from joserfc.jwk import OKPKey
from laptop.roles import Database
from pydantic import BaseModel
from sojourn_contracts.refusal import Refused

KEY = "k" * 16

routes = APIRouter()


class Form(BaseModel):
    name: str
    wishes: frozenset[str] = frozenset()
    refused: bool = False


class Made(BaseModel):
    company_id: UUID
    number: int


class Registered(Made):
    token: str


@routes.post("/companies", status_code=201)
async def register(body: Form, caller: MaybeCaller, tx: Tx, once: Once) -> Registered:
    async def create() -> Made:
        number = await tx.connection.fetchval("select count(*) + 1 from inbox")
        await tx.connection.execute("insert into inbox (event_id) values (gen_random_uuid())")
        await meanwhile.pause()
        if body.refused:
            raise Refused("not_today", "Not today")
        return Made(company_id=once.id("company"), number=number)

    made = await once.answer(body, Made, create)
    return Registered(**made.model_dump(), token="a-secret-token")


class Meanwhile:
    """Holds a creation in the middle."""

    def begin(self) -> None:
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.begun = asyncio.Event()
        self.inside = 0

    async def pause(self) -> None:
        self.inside += 1
        self.begun.set()
        await self.go_on.wait()


meanwhile = Meanwhile()


async def waiting(pool: Any, count: int) -> None:
    """Returns when that many transactions wait for another one."""
    while await pool.fetchval("select count(*) from pg_locks where not granted and locktype = 'transactionid'") < count:
        await asyncio.sleep(0.01)


@pytest.fixture
async def pool(database: Database, tmp_path: Path) -> AsyncGenerator[Any]:
    await migrate(database.migrator_url, "registration", tmp_path)
    settings = {"search_path": "registration", "lock_timeout": "2s"}
    async with asyncpg.create_pool(
        database.url("registration"), min_size=0, max_size=8, server_settings=settings
    ) as pool:
        yield pool


@pytest.fixture
def key() -> OKPKey:
    return OKPKey.generate_key("Ed25519", {"kid": "k1"})


@pytest.fixture
async def http(pool: Any, key: OKPKey) -> AsyncGenerator[httpx.AsyncClient]:
    @asynccontextmanager
    async def open_transaction(cause: Cause) -> AsyncGenerator[Any]:
        async with pool.acquire() as connection, connection.transaction():
            yield SimpleNamespace(connection=connection)

    async def keys(location: str) -> bytes:
        return json.dumps({"keys": [key.as_dict(private=False)]}).encode()

    app = application("registration", (routes,), Metrics("registration"))
    app.state.open_transaction = open_transaction
    app.state.keys = KeySource("jwks", keys)
    meanwhile.begin()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        yield client


async def post(http: httpx.AsyncClient, key: str | None = KEY, token: str | None = None, **form: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key is not None else {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return await http.post("/companies", json={"name": "Acme", **form}, headers=headers)


async def test_the_same_key_and_body_get_the_same_answer_and_create_once(http: httpx.AsyncClient, pool: Any):
    wishes = [str(number) for number in range(100)]
    first = await post(http, wishes=wishes)
    again = await post(http, wishes=wishes[::-1])
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert await pool.fetchval("select count(*) from inbox") == 1


async def test_the_same_key_with_another_body_is_422_and_changes_nothing(http: httpx.AsyncClient, pool: Any):
    await post(http)
    other = await post(http, name="Other")
    assert (other.status_code, other.json()["rule"]) == (422, "idempotency_key_reused")
    assert await pool.fetchval("select count(*) from inbox") == 1


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        (None, "idempotency_key_missing"),
        ("", "idempotency_key_invalid"),
        ("k" * 15, "idempotency_key_invalid"),
        ("k" * 129, "idempotency_key_invalid"),
        ("k" * 15 + " k", "idempotency_key_invalid"),
        ("k" * 15 + "\x7f", "idempotency_key_invalid"),
    ],
)
async def test_a_missing_or_odd_key_is_400_and_creates_nothing(http: httpx.AsyncClient, pool: Any, key: str, rule: str):
    answer = await post(http, key)
    assert (answer.status_code, answer.json()["rule"]) == (400, rule)
    assert await pool.fetchval("select count(*) from inbox") == 0


async def test_a_key_of_128_characters_is_taken(http: httpx.AsyncClient):
    assert (await post(http, "~" * 64 + "!" * 64)).status_code == 201


async def test_no_token_is_ever_in_a_stored_answer(http: httpx.AsyncClient, pool: Any):
    assert (await post(http)).json()["token"] == "a-secret-token"
    assert (await post(http)).json()["token"] == "a-secret-token"
    assert "secret" not in str(await pool.fetch("select * from answer"))


async def test_a_key_belongs_to_its_caller(http: httpx.AsyncClient, pool: Any, key: OKPKey):
    tokens = [issue(key, Caller(Role.OPERATOR, subject), timedelta(hours=1)) for subject in ("ann", "bob")]
    answers = [await post(http, token=token) for token in (*tokens, None)]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["company_id"] for answer in answers}) == 3
    assert await pool.fetchval("select count(*) from inbox") == 3


async def test_ids_follow_from_the_key_alone(http: httpx.AsyncClient, pool: Any):
    first = (await post(http)).json()
    await pool.execute("delete from answer")
    assert (await post(http, name="Other")).json()["company_id"] == first["company_id"]
    assert (await post(http, "other" * 4)).json()["company_id"] != first["company_id"]


async def test_a_repeat_that_arrives_meanwhile_waits_and_gets_the_same_answer(http: httpx.AsyncClient, pool: Any):
    meanwhile.go_on.clear()
    requests = [asyncio.create_task(post(http)) for _ in range(4)]
    await meanwhile.begun.wait()
    await waiting(pool, 3)
    assert meanwhile.inside == 1
    meanwhile.go_on.set()
    answers = [(await request).json() for request in requests]
    assert answers == [answers[0]] * 4
    assert await pool.fetchval("select count(*) from inbox") == 1


async def test_a_repeat_that_waited_for_one_that_failed_creates_itself(http: httpx.AsyncClient, pool: Any):
    meanwhile.go_on.clear()
    refused = asyncio.create_task(post(http, refused=True))
    await meanwhile.begun.wait()
    good = asyncio.create_task(post(http))
    await waiting(pool, 1)
    meanwhile.go_on.set()
    assert ((await refused).status_code, (await good).status_code) == (409, 201)
    assert await pool.fetchval("select count(*) from inbox") == 1


async def test_a_repeat_that_waits_too_long_is_told_to_try_again(http: httpx.AsyncClient, pool: Any):
    meanwhile.go_on.clear()
    slow = asyncio.create_task(post(http))
    await meanwhile.begun.wait()
    waited = await post(http)
    assert (waited.status_code, waited.json()["rule"]) == (503, "unavailable")
    meanwhile.go_on.set()
    assert (await slow).status_code == 201
