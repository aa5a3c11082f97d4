"""Dead letters keep a record byte for byte, and an operator can look at them, replay and discard them."""

import asyncio
import base64
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
from chassis.database import Pool
from chassis.inbox import arrival
from chassis.migrations import migrate
from chassis.transaction import Transaction
from laptop.roles import Database
from sojourn_contracts.company import CompanyWithdrawn
from survey.main import service as survey
from uuid_utils.compat import uuid7

from chassis import dead_letters
from tests.chassis.given import note, withdrawn
from tests.chassis.receiving import Gate, Receiver
from tests.chassis.waiting import until
from tests.chassis_driver import Record, record

Command = Callable[..., Awaitable[tuple[int, str, str]]]


async def test_a_dead_letter_is_written_in_the_transaction_that_marks_its_event_handled(pool: Pool):
    """Guarantee 7: a repeat changes nothing, and what has had its effect is never a dead letter."""
    receiver, one, other = Receiver(pool), arrival(record(withdrawn())), arrival(record(event := withdrawn()))
    await receiver.inbox.set_aside(one, ValueError("no"))
    await receiver.inbox.set_aside(one, ValueError("no"))
    assert [letter["event_id"] for letter in await receiver.letters()] == [one.event_id]
    assert await receiver.handled(one.event_id) == 1
    await receiver.inbox.handle([other, one])
    await receiver.inbox.set_aside(other, ValueError("no"))
    assert len(await receiver.letters()) == 1
    assert await receiver.notes(event.subject) == ["CompanyWithdrawn"]


async def test_a_record_without_an_id_is_one_dead_letter_however_often_it_comes_and_its_place_tells_it_from_others(
    pool: Pool,
):
    """Guarantee 7."""
    receiver, one = Receiver(pool), replace(record(withdrawn()), headers=[])
    others = [
        replace(one, topic="CompanyUpdated"),
        replace(one, partition=one.partition + 1),
        replace(one, offset=one.offset + 1),
        replace(one, timestamp=one.timestamp + 1),
    ]
    for _ in range(2):
        await receiver.run(one, *others)
    assert len(await receiver.letters()) == 1 + len(others)


async def test_a_record_whose_id_can_be_read_is_one_dead_letter_wherever_it_stands(pool: Pool):
    """Guarantee 7."""
    receiver, bad = Receiver(pool), replace(record(withdrawn(), event_id=(event_id := uuid7())), key=b"another")
    await receiver.run(bad, replace(bad, offset=bad.offset + 1))
    assert [letter["event_id"] for letter in await receiver.letters()] == [event_id]
    assert await receiver.handled(event_id) == 1


async def test_a_record_comes_back_byte_for_byte(pool: Pool):
    receiver = Receiver(pool)
    headers = [("ce_id", b"\xff\x00"), ("twice", b"1"), ("twice", b"2"), ("none", None), ("empty", b"")]
    sent = Record("CompanyWithdrawn", b"\x00\xfe", b"\x00" * 1_000, headers, 3, 77, 1_700_000_000_123)  # type: ignore[arg-type]
    await receiver.inbox.set_aside(arrival(sent), ValueError("\x00 \udcff"))
    (letter,) = await receiver.letters()
    async with pool.acquire() as connection:
        kept = await dead_letters.locked(connection, letter["id"])
    assert kept is not None
    assert vars(kept) == vars(sent)


async def test_a_replay_goes_past_the_inbox_mark_once_and_not_past_an_erasure(pool: Pool):
    receiver, event, gone = Receiver(pool), withdrawn(), withdrawn()
    for each in (event, gone):
        await receiver.inbox.set_aside(arrival(record(each)), ValueError("no"))
    await receiver.handle(record(type(gone), gone.subject))
    for letter in await receiver.letters():
        assert await receiver.inbox.replay(letter["id"])
        assert not await receiver.inbox.replay(letter["id"]), "it waits no longer"
        async with pool.acquire() as connection:
            assert not await dead_letters.settle(connection, letter["id"], "discarded"), "nor can it be given up"
    assert await receiver.notes(event.subject, gone.subject) == ["CompanyWithdrawn", "erased"]


async def test_of_two_replays_at_once_one_has_the_effect(pool: Pool):
    """Guarantee 7: two operators, one letter."""
    event, gate = withdrawn(), Gate()
    one, other = Receiver(pool, withdrawal=gate.handle), Receiver(pool)
    await one.inbox.set_aside(arrival(record(event)), ValueError("no"))
    (letter,) = await one.letters()
    first = asyncio.create_task(one.inbox.replay(letter["id"]))
    await until(gate.reached.is_set)
    second = asyncio.create_task(other.inbox.replay(letter["id"]))
    await until(lambda: second.done() or other.waiting_for_a_lock(1))
    gate.open()
    assert await asyncio.gather(first, second) == [True, False]
    assert await one.notes(event.subject) == ["CompanyWithdrawn"]


async def test_a_replay_that_fails_has_no_effect_and_the_letter_waits_on(pool: Pool):
    """Guarantee 7."""

    async def fail(event: CompanyWithdrawn, tx: Transaction) -> None:
        await note(event, tx)
        raise ValueError("still not")

    receiver, event = Receiver(pool, withdrawal=fail), withdrawn()
    await receiver.inbox.set_aside(arrival(record(event)), ValueError("no"))
    (letter,) = await receiver.letters()
    with pytest.raises(ValueError, match="still not"):
        await receiver.inbox.replay(letter["id"])
    assert await receiver.notes(event.subject) == []
    assert [letter["state"] for letter in await receiver.letters()] == ["dead"]
    assert await Receiver(pool).inbox.replay(letter["id"])
    assert await receiver.notes(event.subject) == ["CompanyWithdrawn"]


async def test_a_replay_marks_its_event_handled_when_the_mark_was_forgotten_meanwhile(pool: Pool):
    """Guarantee 8: a letter may wait for longer than the inbox remembers."""
    receiver, event = Receiver(pool), withdrawn()
    sent = record(event)
    await receiver.inbox.set_aside(arrival(sent), ValueError("no"))
    await pool.execute("delete from inbox")
    (letter,) = await receiver.letters()
    assert await receiver.inbox.replay(letter["id"])
    await receiver.handle(sent)
    assert await receiver.notes(event.subject) == ["CompanyWithdrawn"]


@pytest.fixture
async def command(database: Database, tmp_path: Path) -> Command:
    """Runs a command of the survey service in a process of its own: exit code, output, errors."""
    await migrate(database.migrator_url, survey.name, survey.migrations)
    keys = tmp_path / "jwks.json"
    keys.write_text(json.dumps({"keys": []}))
    environment = {
        "DATABASE_URL": database.url(survey.name),
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "JWKS": str(keys),
        "LOG_FORMAT": "json",
    }

    async def run(*arguments: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from survey.main import command; command()", "dead-letters", *arguments),
            env=os.environ | environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    return run


async def test_an_operator_lists_shows_replays_and_discards_dead_letters(database: Database, command: Command):
    schema = await asyncpg.connect(database.migrator_url)
    try:
        ids = [await _dead_letter(schema) for _ in range(2)]
        (code, listed, _), (_, shown, _) = await asyncio.gather(command("list"), command("show", ids[0]))
        assert code == 0
        assert [json.loads(line)["id"] for line in listed.splitlines()] == ids
        assert json.loads(shown)["headers"]["ce_type"] == "CompanyWithdrawn.v1"
        assert json.loads(shown)["cause"] == "ValueError"

        await schema.execute("alter table survey.company rename to away")
        code, _, error = await command("replay", ids[0])
        assert (code, "still dead: UndefinedTableError" in error) == (1, True), error
        await schema.execute("alter table survey.away rename to company")
        assert await _states(schema) == ["dead", "dead"]

        replayed, discarded = await asyncio.gather(command("replay", ids[0]), command("discard", ids[1]))
        assert (replayed[:2], discarded[:2]) == ((0, f"replayed {ids[0]}\n"), (0, f"discarded {ids[1]}\n")), replayed
        assert await _states(schema) == ["replayed", "discarded"]
        assert await schema.fetchval("select count(*) from survey.company") == 1
    finally:
        await schema.close()


async def test_an_unknown_id_is_a_clear_error(command: Command):
    nobody = str(uuid7())
    ends = await asyncio.gather(*[command(verb, nobody) for verb in ("show", "replay", "discard")])
    assert [code for code, _, _ in ends] == [1, 1, 1]
    assert all(f"no dead letter {nobody}" in error and "Traceback" not in error for _, _, error in ends), ends


async def _dead_letter(schema: asyncpg.Connection) -> str:
    sent = record(withdrawn())
    found = arrival(sent)
    headers = json.dumps([(name, base64.b64encode(value).decode()) for name, value in sent.headers])
    await schema.execute("insert into survey.inbox (event_id) values ($1)", found.event_id)
    letter_id = uuid7()
    await schema.execute(
        "insert into survey.dead_letter"
        " (id, topic, partition, record_offset, recorded_at, key, value, headers, event_id, cause, detail)"
        " values ($1, $2, 0, 0, now(), $3, $4, $5, $6, 'ValueError', 'no')",
        *(letter_id, sent.topic, sent.key, sent.value, headers, found.event_id),
    )
    return str(letter_id)


async def _states(schema: asyncpg.Connection) -> list[str]:
    return [row["state"] for row in await schema.fetch("select state from survey.dead_letter order by dead_at, id")]
