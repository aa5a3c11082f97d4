"""The doctor of an installation: each fault is made for real and named, and what is whole has none."""

import asyncio
import json
import os
import ssl
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from chassis.doctor import judging
from chassis.doctor.judging import Finding, Report, Severity
from chassis.doctor.looking import examined
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from exchange.main import service as exchange
from laptop import acls as broker_acls
from laptop.access import client
from laptop.ports import HOST
from laptop.system import System
from laptop.topics import create_topics, wanted
from matching.main import service as matching
from sojourn_contracts.access import Acl, Kind, Operation

pytestmark = pytest.mark.installed

SERVICE = exchange.name
TOPIC = "NoticeDue"
"""Which the service writes, and nobody does meanwhile."""


@pytest.fixture(scope="module")
async def system(backing_folder: Path) -> AsyncIterator[System]:
    """At a broker that asks who one is: the service that most is asked of, and the one that keeps an index."""
    folder = backing_folder / "doctor"
    folder.mkdir()
    grants = folder / "grants.yaml"
    grants.write_text("clients: {}\n")
    async with System(folder, services=[SERVICE, matching.name], grants=grants) as system:
        system.write_settings()
        yield system


@pytest.fixture(autouse=True)
def settings(system: System, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The service's, in the environment of this process."""
    found = system.settings(SERVICE)
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


async def looked(system: System, **more: float) -> Report:
    now = time.time() - more.get("behind", 0)
    began = time.monotonic()
    return await examined(exchange, [system.urls[SERVICE]], lambda: now + time.monotonic() - began)


async def found(system: System) -> list[Finding]:
    report = await looked(system)
    assert not report.unchecked
    return report.findings


async def the_only(system: System) -> Finding:
    [finding] = await found(system)
    return finding


async def command(*arguments: str) -> tuple[int | None, str]:
    name, *rest = arguments
    ended = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name(name), *rest, stdout=asyncio.subprocess.PIPE, env=os.environ
    )
    out, _ = await asyncio.wait_for(ended.communicate(), 60)
    return ended.returncode, out.decode()


async def test_of_a_healthy_system_nothing_is_found(system: System):
    report = await looked(system)
    assert report.findings == []
    assert report.unchecked == []
    assert [each.check for each in report.left_out] == ["clocks"]  # the brokers', for whom no right is given
    assert report.exit_code == 0


async def test_it_signs_in_with_the_password_that_a_file_holds(
    system: System, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], tmp_path: Path
):
    role, _, address = settings["DATABASE_URL"].rpartition("@")
    (tmp_path / "password").write_text(role.rpartition(":")[2] + "\n")
    monkeypatch.setenv("DATABASE_URL", f"{role.rpartition(':')[0]}@{address}")
    monkeypatch.setenv("DATABASE_PASSWORD_FILE", str(tmp_path / "password"))
    assert await found(system) == []


async def test_the_command_says_so_and_ends_with_0(system: System):
    code, out = await command(SERVICE, "doctor", "--url", system.urls[SERVICE])
    assert (code, out.splitlines()[-1].split(maxsplit=1)) == (0, [SERVICE, "nothing is wrong"])


async def test_the_doctor_of_all_services_tells_what_each_ones_says_in_its_environment(system: System):
    code, out = await command("sojourn", "doctor", "--json", "--environments", str(system.folder / "environments"))
    told = {each["service"]: each for each in json.loads(out)["services"]}
    assert told[SERVICE]["findings"] == told[SERVICE]["unchecked"] == []
    assert "there is no survey.env" in told["survey"]["unchecked"][0]["why"]
    assert code == 2


async def test_settings_that_are_missing_or_wrong_are_named(system: System, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("POOL_SIZE", "1")
    monkeypatch.delenv("JWKS")
    report = await looked(system)
    assert {finding.wrong.split()[0] for finding in report.findings} == {"POOL_SIZE", "JWKS"}
    assert report.exit_code == 2


async def test_keys_that_cannot_be_read_are_named(system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("JWKS", str(tmp_path / "gone.json"))
    finding = await the_only(system)
    assert finding.check == "settings"
    assert "no public keys" in finding.wrong


async def test_without_kafka_and_postgres_it_says_what_could_not_be_asked(
    system: System, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
):
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", f"{HOST}:1")
    monkeypatch.setenv("DATABASE_URL", settings["DATABASE_URL"].rpartition("@")[0] + f"@{HOST}:1/sojourn")
    report = await looked(system)
    assert {each.check for each in report.unchecked} == {"broker", "database", "certificates"}
    assert report.exit_code == 2
    assert not any(password in str(report) for password in (settings["KAFKA_PASSWORD"], "sojourn_exchange:"))


async def test_a_missing_topic_is_named_with_the_command_that_makes_it(system: System):
    broker = client(system.kafka)
    await asyncio.to_thread(broker.delete_topics([TOPIC])[TOPIC].result)
    try:
        finding = await the_only(system)
        assert finding.wrong == f"there is no topic {TOPIC}"
        assert f"--topic {TOPIC} --partitions 6" in finding.remedy
    finally:
        await create_topics(system.kafka)
    assert await found(system) == []


async def test_a_wrong_retention_is_named_with_the_right_one(system: System):
    right = wanted()[TOPIC].configuration["retention.ms"]
    await configured(system, "1000")
    try:
        finding = await the_only(system)
        assert finding.wrong == f"{TOPIC} has retention.ms=1000, not {right}"
        assert finding.severity is Severity.CRITICAL
    finally:
        await configured(system, right)


async def configured(system: System, retention: str) -> None:
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

    entry = ConfigEntry("retention.ms", retention, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, TOPIC, incremental_configs=[entry])
    broker = client(system.kafka)  # which must not go before it has answered
    await asyncio.to_thread(broker.incremental_alter_configs([resource])[resource].result)


@pytest.mark.parametrize(
    ("kind", "name", "operation"),
    [
        (Kind.TOPIC, TOPIC, Operation.WRITE),
        (Kind.TOPIC, "CompanyWithdrawn", Operation.DESCRIBE_CONFIGS),
        (Kind.GROUP, f"{SERVICE}.relay", Operation.READ),
    ],
)
async def test_a_missing_right_is_named(system: System, kind: Kind, name: str, operation: Operation):
    acl = broker_acls.binding(Acl(SERVICE, kind, name, operation))
    broker = client(system.kafka)
    for future in broker.delete_acls([broker_acls.exactly(acl)]).values():
        assert await asyncio.to_thread(future.result)
    try:
        finding = await the_only(system)
        assert (finding.check, finding.wrong) == ("acls", f"{SERVICE} may not {operation} the {kind} {name}")
    finally:
        for future in broker.create_acls([acl]).values():
            await asyncio.to_thread(future.result)
    assert await found(system) == []


async def test_an_old_schema_is_named_with_the_command_that_brings_it_up(system: System):
    owner = await asyncpg.connect(system.database.owner_url)
    newest = await owner.fetchval("select max(migration_id) from exchange.schema_version")
    taken = await owner.fetchrow(
        "delete from public._pogo_migration where schema_name = 'exchange' and migration_id = $1 returning *", newest
    )
    try:
        wrong = {finding.wrong: finding.remedy for finding in await found(system)}
        assert wrong[f"exchange's schema lacks {newest}"] == "run `exchange migrate`"
        assert any("is not ready" in each for each in wrong)
    finally:
        places = ", ".join(f"${number}" for number in range(1, len(taken) + 1))
        await owner.execute(
            f"insert into public._pogo_migration ({', '.join(taken.keys())}) values ({places})", *taken.values()
        )
        await owner.close()


async def test_a_role_without_its_limits_or_with_anothers_schema_is_named(system: System):
    owner = await asyncpg.connect(system.database.owner_url)
    await owner.execute("alter role sojourn_exchange reset transaction_timeout")
    await owner.execute("grant usage on schema survey to sojourn_exchange")
    try:
        findings = await found(system)
        assert [finding.severity for finding in findings] == [Severity.CRITICAL, Severity.WARNING]
        assert findings[0].wrong == "sojourn_exchange reaches the schema survey"
        for finding in findings:
            await owner.execute(finding.remedy.partition(": ")[2])
        assert await found(system) == []
    finally:
        await owner.close()


async def test_a_clock_that_is_off_is_named_against_each_of_the_others(system: System, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", system.kafka)  # as who looks after the broker
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    monkeypatch.delenv("KAFKA_USERNAME")
    monkeypatch.delenv("KAFKA_PASSWORD")
    report = await looked(system, behind=300)
    said = [finding.wrong.partition("'s clock is ") for finding in report.findings if finding.check == "clocks"]
    assert all(295 < int(how.split()[0]) < 305 and "ahead of" in how for _, _, how in said)
    assert {whose for whose, _, _ in said} == {"the database", "the brokers' controller", system.urls[SERVICE]}
    assert not report.left_out
    assert await found(system) == []


async def test_events_that_wait_and_are_then_dead_are_named_and_so_is_an_outbox_that_does_not_move(system: System):
    process = system.processes[SERVICE]
    await process.stop()
    owner = await asyncpg.connect(system.database.owner_url)
    ago = int((time.time() - 600) * 1000)
    async with AIOKafkaProducer(bootstrap_servers=system.kafka) as producer:
        await producer.send_and_wait("CompanyWithdrawn", b"{}", key=b"nobody", timestamp_ms=ago)
    report = await looked(system)
    assert [each.check for each in report.unchecked] == ["processes"]
    [lag] = report.findings
    assert lag.check == "lag"
    assert "waited for 60" in lag.wrong
    assert "nobody is in the group" in lag.remedy
    await system.start_service(SERVICE)
    async with asyncio.timeout(30):
        while not await owner.fetchval("select count(*) from exchange.dead_letter"):
            await asyncio.sleep(0.1)
        while (await looked(system)).findings[0].check == "lag":  # until the position is committed
            await asyncio.sleep(0.1)
    letter = await the_only(system)
    assert (letter.check, letter.remedy.split(",")[0]) == ("dead letters", "`exchange dead-letters list`")
    await owner.execute("update exchange.dead_letter set state = 'discarded'")
    assert await found(system) == []
    await owner.close()


async def test_an_outbox_that_does_not_move_is_named(system: System):
    owner = await asyncpg.connect(system.database.owner_url)
    await owner.execute("update exchange.lease set holder = gen_random_uuid(), until = now() + '1 hour'")
    await owner.execute("""
        insert into exchange.outbox (event_id, topic, type, dataschema, subject, time, data, correlation_id, written_at)
        values (gen_random_uuid(), 'NoticeDue', 'x', 'x', gen_random_uuid(), now(), '{}', 'c', now() - interval '3 minutes')
    """)
    try:
        finding = await the_only(system)
        assert finding.check == "outbox"
        assert finding.wrong.startswith("1 events wait to be published, the oldest for 18")
    finally:
        await owner.execute("delete from exchange.outbox")
        await owner.execute("update exchange.lease set until = now()")
        await owner.close()


async def test_work_that_was_given_up_is_named_with_the_commands_that_end_it(system: System):
    owner = await asyncpg.connect(system.database.owner_url)
    await owner.execute("""
        insert into exchange.due (id, kind, subject, at, data)
        values (gen_random_uuid(), 'expire', 'no id of an exchange', now() - interval '1 minute', '{}')
    """)
    async with asyncio.timeout(30):
        while not await owner.fetchval("select exists (select from exchange.due where parked_at is not null)"):
            await asyncio.sleep(0.1)
    finding = await the_only(system)
    assert (finding.check, finding.severity) == ("due work", Severity.WARNING)
    assert finding.wrong == "1 works of exchange are parked"
    assert finding.remedy.startswith("`exchange due list`, then `retry` or `discard`")
    work = await owner.fetchval("select id::text from exchange.due where parked_at is not null")
    code, listed = await command(SERVICE, "due", "list")
    assert code == 0
    assert work in listed
    assert await command(SERVICE, "due", "discard", work) == (0, f"discarded {work}\n")
    assert await found(system) == []
    await owner.close()


async def test_a_process_of_another_version_is_named(system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The doctor's own is the later one: as in a rollout that has not come to an end."""
    told = tmp_path / f"{SERVICE}-9.9.0.dist-info" / "METADATA"
    told.parent.mkdir()
    told.write_text(f"Metadata-Version: 2.4\nName: {SERVICE}\nVersion: 9.9.0\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code, out = await command(SERVICE, "doctor", "--json", "--url", system.urls[SERVICE])
    [report] = json.loads(out)["services"]
    [finding] = report["findings"]
    assert (finding["check"], finding["severity"]) == ("versions", "warning")
    assert finding["wrong"] == f"{system.urls[SERVICE]} runs version {version(SERVICE)}, and this is 9.9.0"
    assert code == 1


async def test_an_index_that_does_not_follow_the_market_is_named(system: System, monkeypatch: pytest.MonkeyPatch):
    for name, value in system.settings(matching.name).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(judging, "INDEX_AGE", 5.0)
    url = system.urls[matching.name]
    assert await of_processes(url) == []
    owner = await asyncpg.connect(system.database.owner_url)
    async with owner.transaction(), asyncio.timeout(30):
        await owner.execute("lock table matching.changes in access exclusive mode")
        while not (findings := await of_processes(url)):
            await asyncio.sleep(0.5)
    await owner.close()
    [finding] = findings
    assert finding.wrong.startswith(f"the index of {url} is ")
    assert finding.remedy == "see the runbook SojournIndexBehind"
    async with asyncio.timeout(30):
        while await of_processes(url):
            await asyncio.sleep(0.5)


async def of_processes(url: str) -> list[Finding]:
    """What matching's doctor says of one of its processes."""
    return [finding for finding in (await examined(matching, [url])).findings if finding.check == "processes"]


async def test_a_certificate_that_expires_in_ten_days_is_named_whoever_shows_it(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    async with showing(tmp_path, timedelta(days=10, hours=1)) as (https, postgres):
        monkeypatch.setenv("JWKS", f"https://{HOST}:{https}/keys")
        monkeypatch.setenv("LISTEN_DATABASE_URL", f"postgresql://nobody@{HOST}:{postgres},{HOST}:{postgres}/sojourn")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"https://{HOST}:{https}")
        monkeypatch.setenv("CERTIFICATES_URL", f"https://{HOST}:{https}/certificates")  # which is told, not asked
        report = await looked(system)
    said = {finding.wrong: finding.severity for finding in report.findings if finding.check == "certificates"}
    assert said == {
        f"the certificate of {whose} expires in 10 days": Severity.WARNING
        for whose in (
            f"JWKS ({HOST})",
            f"OTEL_EXPORTER_OTLP_ENDPOINT ({HOST})",
            f"PostgreSQL at {HOST} (LISTEN_DATABASE_URL)",
        )
    }


async def test_a_certificate_that_has_expired_is_critical(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    async with showing(tmp_path, timedelta(days=-1)) as (https, _):
        monkeypatch.setenv("JWKS", f"https://{HOST}:{https}/keys")
        findings = await found(system)
    said = {finding.wrong: finding.severity for finding in findings if finding.check == "certificates"}
    assert said == {f"the certificate of JWKS ({HOST}) has expired": Severity.CRITICAL}


@asynccontextmanager
async def showing(folder: Path, left: timedelta) -> AsyncGenerator[tuple[int, int]]:
    """Two ports at which a certificate is shown that ends so soon: at once, and when asked as PostgreSQL is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(folder, left))

    async def ends(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def as_postgres(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readexactly(8)
            writer.write(b"S")
            await writer.start_tls(context)
        except (OSError, EOFError):
            pass
        writer.close()

    async with (
        await asyncio.start_server(ends, HOST, 0, ssl=context) as https,
        await asyncio.start_server(as_postgres, HOST, 0) as postgres,
    ):
        yield https.sockets[0].getsockname()[1], postgres.sockets[0].getsockname()[1]


def _certificate(folder: Path, left: timedelta) -> Path:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sojourn")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=90))
        .not_valid_after(now + left)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    file = folder / "certificate.pem"
    file.write_bytes(made.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return file
