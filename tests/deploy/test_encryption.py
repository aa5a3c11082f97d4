"""Kafka and PostgreSQL behind certificates: who is not who it should be gets nothing, and what is replaced restarts nobody."""

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError
from chassis.brokers import Brokers
from chassis.database import pool
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from laptop.access import client
from laptop.acls import apply
from laptop.acls import kept_passwords as kept_users
from laptop.backing import ADMINISTRATOR
from laptop.kafka import Certificates, Kafka
from laptop.ports import HOST
from laptop.postgres import Postgres
from laptop.roles import kept_passwords, runtime_role
from laptop.system import System
from laptop.topics import create_topics
from sojourn_contracts import envelope
from sojourn_contracts.connection import Trust
from sojourn_contracts.envelope import Envelope
from sojourn_contracts.erasure import ErasureDone, ErasureRequested
from sojourn_contracts.grants import parse
from uuid_utils.compat import uuid7

from tests.chassis.waiting import until
from tests.deploy.encrypting import Authority, binaries, replaced

pytestmark = pytest.mark.installed
SERVICE = "exchange"


class Place:
    """A broker and a database server that encrypt, and the files that a client of theirs has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.authority = Authority()
        self.ca_file = folder / "ca.pem"
        self.kafka_password, self.database_password = folder / "kafka.password", folder / "database.password"
        self.clients = Authority()
        self._certificates = Certificates(folder / "kafka.pem", folder / "clients.pem")
        self._key, self._certificate = folder / "postgres.key", folder / "postgres.pem"
        self.kafka = Kafka(folder / "kafka", administrator=ADMINISTRATOR, certificates=self._certificates)
        self.postgres = Postgres(folder / "postgres", settings={"fsync": "off"}, binaries=binaries(folder / "programs"))
        replaced(self.ca_file, self.authority.certificate)
        replaced(self._certificates.authorities, self.clients.certificate)

    async def start(self) -> None:
        self._show(expired=False)
        await asyncio.gather(self.kafka.start(), self.postgres.start())
        await create_topics(self.kafka.bootstrap)
        await asyncio.to_thread(apply, client(self.kafka.bootstrap), parse("clients: {}"), self._users)
        replaced(self.kafka_password, kept_users(self._users)[SERVICE])
        replaced(self.database_password, self.roles[runtime_role(SERVICE)])
        self._owned()
        await self._as_administrator(
            f"alter system set ssl_cert_file = '{self._certificate}'",
            f"alter system set ssl_key_file = '{self._key}'",
            "alter system set ssl = on",
            "select pg_reload_conf()",
        )

    async def stop(self) -> None:
        await asyncio.gather(self.kafka.stop(), self.postgres.stop())

    def _show(self, *, expired: bool) -> None:
        """Certificates of their own for both, from the authority that is now."""
        key, certificate = self.authority.signed(expired=expired)
        replaced(self._certificates.own, key + certificate)
        key, certificate = self.authority.signed(expired=expired)
        replaced(self._key, key)
        replaced(self._certificate, certificate)

    def _owned(self) -> None:
        """By who runs the server: it takes no key of somebody else's."""
        of = (self.folder / "postgres" / "data").stat()
        for file in (self._key, self._certificate):
            os.chown(file, of.st_uid, of.st_gid)

    async def show(self, *, expired: bool = False) -> None:
        """New certificates at both servers, and no connection is left from before."""
        self._show(expired=expired)
        self._owned()
        await self._as_administrator("select pg_reload_conf()")
        await self.cut_off()

    async def cut_off(self) -> None:
        await self.kafka.stop()
        await self.kafka.start()
        role = runtime_role(SERVICE)
        await self._as_administrator(f"select pg_terminate_backend(pid) from pg_stat_activity where usename = '{role}'")

    async def change_passwords(self) -> None:
        how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 8_192)
        another = UserScramCredentialUpsertion(SERVICE, how, b"another")
        administrator = client(self.kafka.bootstrap)
        altered = administrator.alter_user_scram_credentials([another])
        await asyncio.to_thread(altered[SERVICE].result)
        await self._as_administrator(f"alter role {runtime_role(SERVICE)} password 'another'")
        replaced(self.kafka_password, "another\n")
        replaced(self.database_password, "another\n")

    async def _as_administrator(self, *statements: str) -> None:
        connection = await asyncpg.connect(self.postgres.admin_url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    @property
    def _users(self) -> Path:
        return self.folder / "kafka-passwords.json"

    @property
    def roles(self) -> dict[str, str]:
        return kept_passwords(self.folder / "passwords.json")

    @property
    def database_url(self) -> str:
        """Of the administrator, encrypted and with the server's name looked at."""
        return f"{self.postgres.admin_url}?sslmode=verify-full&sslrootcert={self.ca_file}"

    @property
    def environment(self) -> dict[str, str]:
        """Of a client."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.for_users,
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_USERNAME": SERVICE,
            "KAFKA_PASSWORD_FILE": str(self.kafka_password),
            "KAFKA_CA_FILE": str(self.ca_file),
            "DATABASE_PASSWORD_FILE": str(self.database_password),
        }

    def brokers(self, ca_file: Path | None = None, servers: str | None = None) -> Brokers:
        return Brokers(
            servers or self.kafka.for_users, "SASL_SSL", SERVICE, self.kafka_password, ca_file or self.ca_file
        )


@pytest.fixture(scope="module")
async def at(backing_folder: Path) -> AsyncIterator[Place]:
    place = Place(backing_folder / "encrypted")
    try:
        await place.start()
        yield place
    finally:
        await place.stop()


async def asked(at: Place) -> UUID:
    """Asks for an erasure on the port that needs neither certificate nor password."""
    erasure = ErasureRequested(erasure_id=uuid7(), erased_id=uuid4(), kind="person", requested_at=datetime.now(UTC))
    key, value, headers = envelope.encode(
        Envelope(
            uuid7(),
            "sojourn/registration",
            ErasureRequested,
            erasure.subject,
            erasure.requested_at,
            erasure,
            sequence=1,
            correlation_id="c",
        )
    )
    producer = AIOKafkaProducer(bootstrap_servers=at.kafka.bootstrap)
    await producer.start()
    try:
        await producer.send_and_wait(ErasureRequested.topic(), value, key=key, headers=headers)
    finally:
        await producer.stop()
    return erasure.erasure_id


async def answered(at: Place, erasure: UUID) -> None:
    """The service has read it, written to its database, and published: all over what is encrypted."""
    consumer = AIOKafkaConsumer(
        ErasureDone.topic(), bootstrap_servers=at.kafka.bootstrap, group_id=None, auto_offset_reset="earliest",
        isolation_level="read_committed",
    )  # fmt: skip
    await consumer.start()
    try:
        async with asyncio.timeout(90):
            async for record in consumer:
                if record.key == str(erasure).encode():
                    return
    finally:
        await consumer.stop()


async def test_who_is_not_vouched_for_or_has_another_name_is_not_taken_for_kafka(
    at: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    other = tmp_path / "other.pem"
    other.write_bytes(Authority().certificate)
    for brokers, said in (
        (at.brokers(ca_file=other), "certificate verify failed"),
        (at.brokers(servers=at.kafka.for_users.replace(HOST, "localhost")), "Hostname mismatch"),
    ):
        producer = AIOKafkaProducer(**brokers.client())
        with pytest.raises(KafkaConnectionError):
            await producer.start()
        await producer.stop()
        assert said in caplog.text


async def test_who_is_not_vouched_for_or_has_another_name_is_not_taken_for_postgresql(at: Place, tmp_path: Path):
    other = tmp_path / "other.pem"
    other.write_bytes(Authority().certificate)
    for url, said in (
        (at.database_url.replace(str(at.ca_file), str(other)), "certificate verify failed"),
        (at.database_url.replace(f"@{HOST}", "@localhost"), "Hostname mismatch"),
    ):
        with pytest.raises(ssl.SSLCertVerificationError, match=said):
            await pool(url, "public", 2)._get_new_connection()
    async with pool(at.database_url, "public", 2) as encrypted, encrypted.acquire() as connection:
        assert await connection.fetchval("select ssl from pg_stat_ssl where pid = pg_backend_pid()")


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_who_closes_an_encrypted_connection_does_not_wait_until_the_other_side_does(
    tmp_path: Path, loop: Callable[[], asyncio.AbstractEventLoop]
):
    authority, pem = Authority(), tmp_path / "server.pem"
    pem.write_bytes(b"".join(authority.signed()))
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    closed = threading.Event()

    def never_closes(server: socket.socket) -> None:
        with context.wrap_socket(server.accept()[0], server_side=True) as connection:
            connection.write(b"x")
            closed.wait()

    async def closes(port: int) -> None:
        reader, writer = await asyncio.open_connection(HOST, port, ssl=Trust.of(tmp_path / "ca.pem"))
        assert await reader.read(1) == b"x"
        writer.close()
        try:
            async with asyncio.timeout(5):
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    with socket.create_server((HOST, 0)) as server:
        serving = threading.Thread(target=never_closes, args=(server,))
        serving.start()
        try:
            with asyncio.Runner(loop_factory=loop) as runner:
                runner.run(closes(server.getsockname()[1]))
        finally:
            closed.set()
            serving.join()


async def test_a_broker_may_know_its_clients_by_their_certificates(at: Place, tmp_path: Path):
    key_file, certificate_file = tmp_path / "key.pem", tmp_path / "certificate.pem"
    key, certificate = at.clients.signed("sojourn")
    key_file.write_bytes(key)
    certificate_file.write_bytes(certificate)
    known = Brokers(at.kafka.for_certified, "SSL", None, None, at.ca_file, certificate_file, key_file)
    admin = AIOKafkaAdminClient(**known.client())
    await admin.start()
    try:
        (told,) = await admin.describe_topics([ErasureDone.topic()])
        assert told["error_code"] == 29  # TOPIC_AUTHORIZATION_FAILED: it is somebody, who was granted nothing
    finally:
        await admin.close()
    nobody = AIOKafkaAdminClient(**Brokers(at.kafka.for_certified, "SSL", None, None, at.ca_file).client())
    with pytest.raises(KafkaConnectionError):
        await nobody.start()
    await nobody.close()


async def test_a_broker_that_is_told_of_a_new_certificate_shows_it_without_a_restart(at: Place):
    before = await shown(at.kafka.for_users)
    at._show(expired=False)
    at._owned()
    broker = ConfigResource(ResourceType.BROKER, "1")
    name = "listener.name.sasl_ssl.ssl.keystore.location"
    broker.add_incremental_config(
        ConfigEntry(name, str(at._certificates.own), incremental_operation=AlterConfigOpType.SET)
    )
    administrator = client(at.kafka.bootstrap)
    altered = administrator.incremental_alter_configs([broker])
    await asyncio.to_thread(altered[broker].result)

    async def another() -> bool:
        return await shown(at.kafka.for_users) != before

    await until(another)


async def shown(address: str) -> bytes:
    """The certificate that a server shows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    host, port = address.split(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return certificate


async def test_certificates_authority_and_passwords_change_and_expire_while_a_service_runs_and_nothing_is_lost(
    at: Place,
):
    async with System(
        at.folder, services=[SERVICE], kafka=at.kafka.bootstrap, database_url=at.database_url,
        environment=at.environment,
    ) as system:  # fmt: skip
        process, url = system.processes[SERVICE], system.urls[SERVICE]
        assert process.running is not None
        at_first = process.running
        await answered(at, await asked(at))
        await at.show()
        await answered(at, await asked(at))

        at.authority = Authority()
        replaced(at.ca_file, at.authority.certificate)
        await at.change_passwords()
        await at.show()
        await answered(at, await asked(at))

        await at.show(expired=True)
        waiting = await asked(at)
        async with httpx.AsyncClient(base_url=url) as http:

            async def not_ready() -> bool:
                answer = await http.get("/ready")
                expired = "the database's certificate is not accepted: certificate has expired"
                return answer.status_code == 503 and answer.json()["reason"] == expired

            await until(not_ready)
            assert (await http.get("/live")).status_code == 200
        log = Path(str(process.log))
        verification = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired"
        told = f"Unable connect to node with id 1: {verification}"
        await until(lambda: told in log.read_text())

        await at.show()
        await answered(at, waiting)
        assert process.running == at_first
