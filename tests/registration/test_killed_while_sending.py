"""A real process is killed (SIGKILL) while it sends: mails may be sent twice, and none is lost."""

import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest
from chassis.migrations import migrate
from chassis.transaction import Cause
from joserfc.jwk import OKPKey
from laptop.process import Process
from laptop.roles import Database
from registration.main import service
from registration.notices.asked import ask

from tests.chassis.waiting import until
from tests.chassis_driver import driving
from tests.registration.mail_server import MailServer, serving
from tests.registration.noticed import TRAVELLER, known

MAILS = 120
KILLED_AT = 40


class KillingServer(MailServer):
    """Kills who sends, at the n-th mail: once it has the mail, before or after it says so."""

    def __init__(self, moment: str) -> None:
        super().__init__()
        self._moment = moment
        self.nothing_stored: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
        """Around the kill: or whoever is told in time would store it before it dies."""
        self.sender: Process | None = None
        self.killed = False

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        answer = await super().handle_DATA(server, session, envelope)
        if len(self.mails) >= KILLED_AT and not self.killed and self.sender is not None:
            self.killed = True
            async with self.nothing_stored():
                if self._moment == "after":
                    server.transport.write(b"250 OK\r\n")
                await self.sender.kill()
        return answer


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_process_killed_between_sending_and_storing_loses_no_mail(
    database: Database, tmp_path: Path, moment: str
):
    await migrate(database.migrator_url, service.name, service.migrations)
    key = OKPKey.generate_key("Ed25519", {"kid": "test"})
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    (tmp_path / "key.json").write_text(json.dumps(key.as_dict(private=True)))
    notices = [uuid5(UUID(int=0), str(number)) for number in range(MAILS)]
    async with (
        serving(KillingServer(moment)) as server,
        driving(service, database.url(service.name), tmp_path) as driver,
    ):
        await known(driver)

        @asynccontextmanager
        async def locked() -> AsyncIterator[None]:
            async with driver.process.pool.acquire() as connection, connection.transaction():
                await connection.execute("lock table mail in share mode")
                yield

        server.nothing_stored = locked
        async with driver.process.open_transaction(Cause()) as tx:
            for notice in notices:
                await ask(tx, notice, TRAVELLER, "admitted", {})
        environment = os.environ | {
            "DATABASE_URL": database.url(service.name),
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "JWKS": str(tmp_path / "jwks.json"),
            "SIGNING_KEY": str(tmp_path / "key.json"),
            "HTTP_PORT": "0",
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(server.port),
        }
        command = [Path(sys.executable).parent / service.name, "serve"]
        first, second = (Process(name, command, log=tmp_path / name, environment=environment) for name in ("1", "2"))
        server.sender = first
        try:
            first.spawn()
            await until(lambda: server.killed and not first.alive, 60)
            [left] = await driver.rows("select count(*) from due where kind = 'send_mail'")
            assert 0 < left["count"] < MAILS
            # Those that were claimed are due again in a minute: for the test, at once.
            await driver.rows("update due set claimed_until = null")
            second.spawn()

            async def all_stored() -> bool:
                [stored] = await driver.rows("select count(*) from mail where state = 'accepted'")
                return stored["count"] == MAILS

            await until(all_stored, 60)
        finally:
            for process in (first, second):
                await process.stop(20)
    sent = Counter(str(mail["Message-ID"]) for mail in server.mails)
    assert sent.keys() == {f"<{notice}.{TRAVELLER}@sojourn.example>" for notice in notices}, "none is lost"
    assert 0 < sum(sent.values()) - MAILS <= 20, "some were sent twice, under one Message-ID: those in hand at most"
