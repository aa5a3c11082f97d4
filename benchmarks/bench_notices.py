"""How fast notices become mails: asked for, rendered, sent to an SMTP server of its own process, and stored, per second."""

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

from backing import database, report
from chassis.migrations import migrate
from chassis.service import Process
from chassis.transaction import Cause
from joserfc.jwk import OKPKey
from laptop.mails import kept
from laptop.ports import free_port
from registration.main import service
from registration.notices.asked import take
from registration.notices.domain import Notice
from registration.people import store as people
from registration.people.domain import Addressee, Part, Person, Reads

NOTICES = int(os.environ.get("NOTICES", "10000"))
AT_ONCE = 500


async def ask(process: Process, person: Person, number: int) -> None:
    async with process.open_transaction(Cause()) as tx:
        said = {
            "exchange_id": str(uuid4()),
            "side": "sender",
            "country": "DE",
            "learns_1": "welding",
            "gains_1": "baking",
            "language": "en",
            "language_level": "B2",
            "window_first": "2026-05-01",
            "window_last": "2026-08-31",
            "min_days": "14",
            "max_days": "30",
            "answer_by": "2026-03-09T12:00:00+00:00",
        }
        notices = [Notice(uuid4(), "exchange", person.person_id, "match_proposed", said, tx.now) for _ in range(number)]
        await take([(notice, tx) for notice in notices])


async def listening(port: int) -> None:
    """Who sends to a catcher that is not there yet backs off, and would be measured backing off."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return await writer.wait_closed()


async def sent(process: Process, number: int) -> None:
    while await process.pool.fetchval("select count(*) from mail where state = 'accepted'") < number:
        await asyncio.sleep(0.05)


async def main() -> None:
    async with database() as own:
        with tempfile.TemporaryDirectory(prefix="sojourn-bench-") as name:
            folder, port = Path(name), free_port()
            key = OKPKey.generate_key("Ed25519", {"kid": "bench"})
            (folder / "jwks.json").write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
            (folder / "key.json").write_text(json.dumps(key.as_dict(private=True)))
            catcher = await asyncio.create_subprocess_exec(
                str(Path(sys.executable).parent / "laptop"), "mails", "catch", "--folder", name, "--port", str(port)
            )
            await listening(port)
            await migrate(own.migrator_url, service.name, service.migrations)
            settings = service.settings.model_validate(
                {
                    "database_url": own.url(service.name),
                    "kafka_bootstrap_servers": "127.0.0.1:1",
                    "jwks": str(folder / "jwks.json"),
                    "signing_key": folder / "key.json",
                    "smtp_host": "127.0.0.1",
                    "smtp_port": port,
                }
            )
            process = Process(service, settings)
            try:
                async with process.pool, process.preparing():
                    await measured(process, folder)
            finally:
                catcher.terminate()
                await catcher.wait()


async def measured(process: Process, folder: Path) -> None:
    person = Person(uuid4(), uuid4(), Part.ADMIN, Addressee("Ana Admin", "ana@zahnrad.example", Reads.DE))
    await process.pool.execute(
        "insert into company (company_id, revision, name, profile, registered_at) values ($1, 1, 'Acme', '{}', now())",
        person.company_id,
    )
    async with process.open_transaction(Cause()) as tx:
        await people.save(tx, [person])
    began = time.perf_counter()
    for _ in range(NOTICES // AT_ONCE):
        await ask(process, person, AT_ONCE)
    asking = time.perf_counter() - began
    running = asyncio.create_task(process.due.run())
    began, used = time.perf_counter(), time.process_time()
    await sent(process, NOTICES)
    sending, used = time.perf_counter() - began, time.process_time() - used
    process.due.stop()
    await running
    report(
        "notices",
        {
            "notices": NOTICES,
            "asked_per_s": NOTICES / asking,
            "sent_per_s": NOTICES / sending,
            "seconds_for_10000": 10_000 * sending / NOTICES,
            "cpu_ms_each": 1_000 * used / NOTICES,
            "caught": len(kept(folder)),
        },
    )


if __name__ == "__main__":
    asyncio.run(main())
