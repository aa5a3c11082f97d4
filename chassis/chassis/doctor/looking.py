"""What a doctor asks: the database, the broker, the service's processes, and whoever shows a certificate.

As the service itself does, with its settings and rights, and without changing anything. What cannot be asked is told as such:
silence is no proof of health.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qs, urlsplit

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownTopicOrPartitionError,
    for_code,
)
from cryptography import x509
from pydantic import SecretStr
from sojourn_contracts.access import Acl, Kind, Operation, acls
from sojourn_contracts.catalogue import SERVICES, consumed_by
from sojourn_contracts.grants import Grants

from chassis import due, migrations
from chassis.clock import SteppedClock, SystemClock
from chassis.database import BY_ROLE, read_anew
from chassis.doctor import judging
from chassis.doctor.judging import Finding, Process, Report, Role, Topic, Unseen, Work
from chassis.doctor.requests import GroupAndRights, Quorum, TopicsAndRights
from chassis.identity import public_keys
from chassis.settings import ONLY_TOLD, Settings, SettingsError, load

if TYPE_CHECKING:
    from chassis.service import Service

    Database = asyncpg.Connection[asyncpg.Record]
else:
    Database = asyncpg.Connection

PATIENCE = 10.0
"""Seconds that one thing may take to be asked."""
OF_LAG = 5.0
"""Seconds for reading what waits first in each partition."""
_BITS = {Operation.READ: 3, Operation.WRITE: 4, Operation.DESCRIBE: 8, Operation.DESCRIBE_CONFIGS: 10}
"""Of the operations, as Kafka numbers them."""

Now = Callable[[], float]


@dataclass
class Place:
    """Where a doctor looks, and what was found so far."""

    service: "Service"
    settings: Settings
    now: Now
    """This machine's clock, in seconds since 1970."""
    report: Report
    ahead: dict[str, float]
    """Seconds by which others' clocks are ahead of this one."""


async def examined(service: "Service", urls: Sequence[str], now: Now = time.time) -> Report:
    """What is wrong in this service's part of the installation; ``urls`` are those of processes to ask."""
    report = Report(service.name)
    try:
        settings = load(service.settings)
    except SettingsError as error:
        report.findings += judging.settings(error.errors)
        report.unchecked.append(Unseen("settings", "nothing else can be asked without them"))
        return report
    place = Place(service, settings, now, report, {})
    await _asked(report, "settings", _keys(place))
    async with asyncio.TaskGroup() as group:
        for asking in (
            _ask_database(place),
            _ask_broker(place),
            _ask_processes(place, urls),
            _ask_for_certificates(place),
        ):
            group.create_task(asking)
    report.findings += judging.clocks(place.ahead)
    return report


async def _asked(report: Report, check: str, look: Awaitable[Iterator[Finding]]) -> None:
    """Adds what a look finds; that it could not be had, if it could not."""
    try:
        async with asyncio.timeout(PATIENCE):
            report.findings += await look
    except (
        OSError,
        KafkaError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        httpx.HTTPError,
        NotImplementedError,
    ) as error:
        report.unchecked.append(Unseen(check, f"{type(error).__name__}: {error}".rstrip(": ")[:300]))


async def _keys(place: Place) -> Iterator[Finding]:
    problem = None
    try:
        await public_keys(place.settings.jwks)
    except (OSError, ValueError, httpx.HTTPError) as error:
        problem = type(error).__name__
    return judging.keys(place.settings.jwks, problem)


async def _ask_database(place: Place) -> None:
    report, settings = place.report, place.settings
    try:
        connection = await _connected(settings, settings.database_url)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        report.unchecked.append(Unseen("database", f"PostgreSQL does not let us in: {type(error).__name__}: {error}"))
        return
    try:
        for check, look in (
            ("versions", _server),
            ("role", _role),
            ("schema", _schema),
            ("clocks", _database_clock),
            ("listening", _listening),
        ):
            await _asked(report, check, look(place, connection))
        if not any(finding.check == "schema" for finding in report.findings):
            await _asked(report, "work", _work(place, connection))
    finally:
        await connection.close(timeout=5)


async def _connected(settings: Settings, url: SecretStr) -> Database:
    """As the role is, with none of what the service's own connections set; as a pooler of whatever age likes it."""
    return await asyncpg.connect(
        url.get_secret_value(),
        password=read_anew(settings.database_password_file),
        timeout=PATIENCE,
        statement_cache_size=0,
    )


async def _server(place: Place, connection: Database) -> Iterator[Finding]:
    return judging.server(int(await connection.fetchval("show server_version_num")))


async def _role(place: Place, connection: Database) -> Iterator[Finding]:
    wanted = {"search_path": place.service.name, **BY_ROLE}
    row = await connection.fetchrow(
        "select current_user as name, rolsuper as superuser,"
        " array(select nspname::text from pg_namespace where nspname = any($1) and has_schema_privilege(oid, 'usage'))"
        "  as reaches from pg_roles where rolname = current_user",
        [service for service in SERVICES if service != place.service.name],
    )
    begins_with = {name: str(await connection.fetchval("select current_setting($1)", name)) for name in wanted}
    if row is None:
        return iter(())
    reaches = () if row["superuser"] else row["reaches"]
    return judging.role(Role(row["name"], row["superuser"], reaches, begins_with), wanted)


async def _schema(place: Place, connection: Database) -> Iterator[Finding]:
    async with connection.transaction():
        await connection.execute(f'set local search_path = "{place.service.name}"')
        return judging.schema(place.service.name, await migrations.missing(connection, place.service.migrations))


async def _database_clock(place: Place, connection: Database) -> Iterator[Finding]:
    began = place.now()
    told = await connection.fetchval("select extract(epoch from clock_timestamp())::float")
    place.ahead["the database"] = told - (began + place.now()) / 2
    return iter(())


async def _listening(place: Place, connection: Database) -> Iterator[Finding]:
    """Whether what one connection notifies is heard by another that a process would listen on."""
    direct = place.settings.listen_database_url
    ear = await _connected(place.settings, direct or place.settings.database_url)
    heard, channel = asyncio.Event(), f"{place.service.name}_doctor"

    def notified(*_: object) -> None:
        heard.set()

    try:
        await ear.add_listener(channel, notified)
        await connection.execute("select pg_notify($1, '')", channel)
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                await heard.wait()
        pooled = ear.get_server_pid() != await ear.fetchval("select pg_backend_pid()")
    finally:
        await ear.close(timeout=5)
    return judging.listening(heard.is_set() and not pooled, direct is not None)


async def _work(place: Place, connection: Database) -> Iterator[Finding]:
    file = place.settings.clock_file
    clock = SteppedClock(file) if file else SystemClock()
    async with connection.transaction():
        await connection.execute(f'set local search_path = "{place.service.name}"')
        works = await due.figures(connection, clock.now())
        row = await connection.fetchrow(
            "select count(*) as outbox, coalesce(extract(epoch from clock_timestamp() - min(written_at)), 0)::float as age,"
            " (select count(*) from dead_letter where state = 'dead') as dead,"
            " (select count(*) from due where parked_at is not null) as parked from outbox"
        )
    if row is None:
        return iter(())
    seen = Work(row["outbox"], row["age"], row["dead"], row["parked"], float(works["late"]))
    return judging.work(place.service.name, seen)


async def _ask_broker(place: Place) -> None:
    admin = AIOKafkaAdminClient(**place.settings.brokers.client(), request_timeout_ms=int(PATIENCE * 1000))
    try:
        async with asyncio.timeout(PATIENCE):
            await admin.start()
    except (OSError, TimeoutError, KafkaError) as error:
        place.report.unchecked.append(Unseen("broker", f"Kafka does not let us in: {type(error).__name__}: {error}"))
        await admin.close()
        return
    try:
        await _asked(place.report, "topics", _topics(place, admin))
        await _asked(place.report, "acls", _rights_beside_topics(place, admin))
        await _asked(place.report, "clocks", _broker_clock(place, admin))
        await _asked(place.report, "lag", _lag(place, admin))
    finally:
        await admin.close()


async def _topics(place: Place, admin: AIOKafkaAdminClient) -> Iterator[Finding]:
    service = place.service.name
    wanted = judging.wanted_topics(service)
    told = await _send(admin, TopicsAndRights(sorted(wanted)))
    seen: dict[str, Topic] = {}
    bits: dict[str, int] = {}
    for code, name, _, partitions, operations in told.topics:
        error = for_code(code)
        bits[name] = 0 if error is TopicAuthorizationFailedError else operations
        if error is UnknownTopicOrPartitionError:
            seen[name] = Topic(0)
            bits.pop(name)
        elif error is not TopicAuthorizationFailedError:
            leaderless = sum(leader < 0 for _, _, leader, *_ in partitions)
            behind = sum(len(in_sync) < len(replicas) for _, _, _, _, replicas, in_sync, _ in partitions)
            seen[name] = Topic(len(partitions), leaderless, behind)
    configured = [
        name for name, topic in seen.items() if topic.partitions and _may(bits[name], Operation.DESCRIBE_CONFIGS)
    ]
    for name, configuration in (await _configurations(admin, configured)).items():
        topic = seen[name]
        seen[name] = Topic(topic.partitions, topic.leaderless, topic.out_of_sync, configuration)
    lacks = [
        acl
        for acl in _rights(service)
        if acl.kind is Kind.TOPIC and acl.name in bits and not _may(bits[acl.name], acl.operation)
    ]
    return _both(judging.topics(wanted, seen), judging.rights(_of_user(place, lacks)))


async def _configurations(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    return {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for answer in answers
        for resource in answer.resources
    }


async def _rights_beside_topics(place: Place, admin: AIOKafkaAdminClient) -> Iterator[Finding]:
    """Of groups and of the transactional id. That the latter may be written with is seen when the relay does it, or halts."""
    lacks: list[Acl] = []
    for acl in _rights(place.service.name):
        try:
            if acl.kind is Kind.GROUP:
                group = await _group(admin, acl.name)
                if not _may(group[-1], acl.operation):
                    lacks.append(acl)
            elif acl.kind is Kind.TRANSACTIONAL_ID and acl.operation is Operation.DESCRIBE:
                await admin.find_coordinator(acl.name, 1)
        except (GroupAuthorizationFailedError, TransactionalIdAuthorizationFailed):
            lacks.append(acl)
    return judging.rights(_of_user(place, lacks))


async def _group(admin: AIOKafkaAdminClient, name: str) -> tuple[Any, ...]:
    """Its description: error, name, state, kind, protocol, members, what may be done with it as bits.

    Asked again while its coordinator moves or loads.
    """
    while True:
        try:
            node = await admin.find_coordinator(name)
            [group] = (await _send(admin, GroupAndRights(name), node)).groups
            if group[0]:
                raise for_code(group[0])(name)
        except KafkaError as error:
            if not error.retriable:
                raise
            await asyncio.sleep(0.2)
        else:
            return group


async def _broker_clock(place: Place, admin: AIOKafkaAdminClient) -> Iterator[Finding]:
    began = place.now()
    told = await _send(admin, Quorum())
    if for_code(told.error_code) is ClusterAuthorizationFailedError:
        who = place.settings.kafka_username
        place.report.left_out.append(
            Unseen("clocks", f"the brokers': {who} may not describe the cluster; an administrator may")
        )
        return iter(())
    for _, partitions, _ in told.topics:
        for _, _, leader, _, _, voters, _, _ in partitions:
            for replica, _, _, last_caught_up, _ in voters:
                if replica == leader and last_caught_up > 0:
                    place.ahead["the brokers' controller"] = last_caught_up / 1000 - (began + place.now()) / 2
    return iter(())


async def _lag(place: Place, admin: AIOKafkaAdminClient) -> Iterator[Finding]:
    group = place.service.name
    names = [topic.name for topic in consumed_by(group)]
    if not names:
        return iter(())
    places = [
        TopicPartition(told["topic"], number)
        for told in await admin.describe_topics(names)
        for number in range(len(told["partitions"]))
    ]
    committed = await admin.list_consumer_group_offsets(group)
    members = len((await _group(admin, group))[5])
    consumer = AIOKafkaConsumer(
        **place.settings.brokers.client(),
        group_id=None,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=65_536,
    )
    try:
        await consumer.start()
        oldest = await _oldest_waiting(consumer, places, {place: at.offset for place, at in committed.items()})
    finally:
        await consumer.stop()
    now = place.now()
    return judging.lag(group, members, {where: now - written for where, written in oldest.items()})


async def _oldest_waiting(
    consumer: AIOKafkaConsumer, places: Sequence[TopicPartition], committed: Mapping[TopicPartition, int]
) -> dict[str, float]:
    """When the first record behind the group's position was written, in seconds since 1970, for each partition that has one.

    Markers of transactions are behind it as well, and are nothing that waits: so the records themselves are read.
    """
    if not places:
        return {}
    begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
    at = {place: max(committed.get(place, 0), begins[place]) for place in places}
    waiting = {place for place in places if at[place] < ends[place]}
    if not waiting:
        return {}
    consumer.assign(list(waiting))
    for place in waiting:
        consumer.seek(place, at[place])
    found: dict[str, float] = {}
    until = asyncio.get_running_loop().time() + OF_LAG
    while waiting and asyncio.get_running_loop().time() < until:
        for place, records in (await consumer.getmany(*waiting, timeout_ms=200)).items():
            if records:
                found[f"{place.topic}-{place.partition}"] = records[0].timestamp / 1000
                waiting.discard(place)
        waiting -= {place for place in waiting if await consumer.position(place) >= ends[place]}
    if waiting:
        raise TimeoutError(f"{len(waiting)} partitions were not read within {OF_LAG:.0f} s")
    return found


async def _ask_processes(place: Place, urls: Sequence[str]) -> None:
    async with httpx.AsyncClient(timeout=PATIENCE / 2) as client:
        seen: list[Process] = []
        for url in (url.rstrip("/") for url in urls):
            try:
                began = place.now()
                ready = await client.get(f"{url}/ready")
                if (date := ready.headers.get("date")) is not None:  # whole seconds, cut off
                    told = parsedate_to_datetime(date).timestamp() + 0.5
                    place.ahead[url] = told - (began + place.now()) / 2
                reason = "" if ready.is_success else str(ready.json().get("reason", ready.status_code))
                status = await client.get(f"{url}/status")
                said: Mapping[str, Any] = status.json() if status.is_success else {}
                gauges = await client.get(f"{url}/metrics")
                age = _of_index(gauges.text) if gauges.is_success else None
                seen.append(Process(url, ready.is_success, reason, said.get("halted"), said.get("version"), age))
            except (httpx.HTTPError, ValueError) as error:
                place.report.unchecked.append(Unseen("processes", f"{url} does not answer: {type(error).__name__}"))
    if not urls:
        why = "no process was named: --url http://host:port asks it for its state, version and clock"
        place.report.left_out.append(Unseen("processes", why))
    place.report.findings += judging.processes(version(place.service.name), seen)


def _of_index(metrics: str) -> float | None:
    """Its age; None where the service keeps none."""
    told = [line for line in metrics.splitlines() if line.startswith("sojourn_index_age_seconds")]
    return float(told[0].rpartition(" ")[2]) if told else None


async def _ask_for_certificates(place: Place) -> None:
    left: dict[str, float] = {}
    for whose, shown in _shown(place.settings):
        try:
            async with asyncio.timeout(PATIENCE):
                certificates = await shown()
        except (OSError, ValueError, EOFError) as error:
            place.report.unchecked.append(
                Unseen("certificates", f"{whose} shows none: {type(error).__name__}: {error}")
            )
            continue
        for certificate in certificates:
            seconds = certificate.not_valid_after_utc.timestamp() - place.now()
            left[whose] = min(left.get(whose, seconds / 86_400), seconds / 86_400)
    place.report.findings += judging.certificates(left)


Shown = Callable[[], Awaitable[Sequence[x509.Certificate]]]


def _shown(settings: Settings) -> Iterator[tuple[str, Shown]]:
    """Whoever shows a certificate to this service, and the files with certificates that its settings name."""
    if settings.kafka_security_protocol.endswith("SSL"):
        for server in settings.kafka_bootstrap_servers.split(","):
            host, _, port = server.strip().rpartition(":")
            yield f"Kafka at {server.strip()}", _by_handshake(host.strip("[]"), int(port))
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        if isinstance(value, Path) and value.is_file():
            yield f"{name.upper()} ({value})", _in_file(value)
        elif text.startswith("https://") and field.json_schema_extra != ONLY_TOLD:
            url = urlsplit(text)
            yield f"{name.upper()} ({url.hostname})", _by_handshake(url.hostname or "", url.port or 443)
        elif text.startswith(("postgresql://", "postgres://")):
            url = urlsplit(text)
            for host, port in _hosts(url):
                yield f"PostgreSQL at {host} ({name.upper()})", _of_postgres(host, port)
            for option in ("sslrootcert", "sslcert"):
                for file in map(Path, parse_qs(url.query).get(option, ())):
                    if file.is_file():
                        yield f"{option} of {name.upper()} ({file})", _in_file(file)


def _hosts(url: SplitResult) -> Iterator[tuple[str, int]]:
    """Of a URL for PostgreSQL, which may name several; a socket of this machine shows no certificate."""
    hosts = url.netloc.rpartition("@")[2] or ",".join(parse_qs(url.query).get("host", ()))
    for each in hosts.split(","):
        if each and not each.startswith("/"):
            host = urlsplit(f"//{each}")
            yield host.hostname or "", host.port or 5432


def _by_handshake(host: str, port: int) -> Shown:
    async def shown() -> Sequence[x509.Certificate]:
        async with _connection(host, port, ssl=_whoever()) as (_, writer):
            return _peer(writer)

    return shown


def _of_postgres(host: str, port: int) -> Shown:
    """Which is asked in its own protocol whether it has one; none where it does not encrypt."""

    async def shown() -> Sequence[x509.Certificate]:
        async with _connection(host, port) as (reader, writer):
            writer.write(bytes.fromhex("0000000804d2162f"))  # SSLRequest
            if await reader.readexactly(1) != b"S":
                return ()
            await writer.start_tls(_whoever(), server_hostname=host)
            return _peer(writer)

    return shown


def _in_file(path: Path) -> Shown:
    async def shown() -> Sequence[x509.Certificate]:
        content = await asyncio.to_thread(path.read_bytes)
        return x509.load_pem_x509_certificates(content) if b"-----BEGIN CERTIFICATE-----" in content else ()

    return shown


def _whoever() -> ssl.SSLContext:
    """Takes any certificate: it is only looked at. Whether it is trusted, the service's own connections find out."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _peer(writer: asyncio.StreamWriter) -> Sequence[x509.Certificate]:
    shown: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return [x509.load_der_x509_certificate(shown)] if shown else ()


@asynccontextmanager
async def _connection(
    host: str, port: int, **how: Any
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(host, port, **how)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError, ssl.SSLError):
            await writer.wait_closed()


async def _send(admin: AIOKafkaAdminClient, request: Any, node: int | None = None) -> Any:
    return await admin._send_request(request, node)  # pyright: ignore[reportPrivateUsage]


def _rights(service: str) -> tuple[Acl, ...]:
    return tuple(acl for acl in acls(Grants(clients={})) if acl.user == service)


def _of_user(place: Place, lacks: Sequence[Acl]) -> list[Acl]:
    user = place.settings.kafka_username or "whoever does not sign in"
    return [Acl(user, acl.kind, acl.name, acl.operation) for acl in lacks]


def _may(bits: int, operation: Operation) -> bool:
    return bool(bits & (1 << _BITS[operation]))


def _both(*found: Iterator[Finding]) -> Iterator[Finding]:
    for each in found:
        yield from each
