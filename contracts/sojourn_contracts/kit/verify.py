"""The command `sojourn-contracts verify`: reads topics and their manifests, and says what is missing.

Manifests are read up to where they ended before the topics' ends were looked up: so every event that they cover is among those
that are read.
"""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from uuid import UUID

import httpx
import typer
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from sojourn_contracts.catalogue import BY_NAME, TOPICS, Topic, Visibility
from sojourn_contracts.completeness import Findings, Log, Received, Span, Stream, Told, Verdict, verify
from sojourn_contracts.connection import connection
from sojourn_contracts.envelope import Malformed, decode
from sojourn_contracts.kit.connection import CaFile, Password, Protocol, Username
from sojourn_contracts.manifest import Disputed, Jwk, ManifestIssued, trusted_keys

KEYS = "/.well-known/manifest-keys.json"
_WEB = ("http://", "https://")
PAGE = 1_000
"""Events that are asked for at once over HTTP."""
PATIENCE = 60.0
"""Seconds without a record after which the topics cannot be read to their ends."""


class CannotTell(RuntimeError):  # noqa: N818 - it is what is told
    """Something that has to be asked does not answer, or refuses; the text says what."""


@dataclass
class Topics:
    """What stands on the topics."""

    received: Received = field(default_factory=Received)
    manifests: list[ManifestIssued] = field(default_factory=list[ManifestIssued])
    unreadable: list[str] = field(default_factory=list[str])
    """Records that break the contract: their place, and how."""
    read_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When reading ended."""


@dataclass(frozen=True)
class Services:
    """Whose manifests can be verified, and whose logs can be asked."""

    keys: Mapping[str, Jwk]
    urls: Mapping[str, str]
    """By source."""


async def read(kafka: Mapping[str, Any], topics: Sequence[str], manifests: Sequence[str]) -> Topics:
    """Reads topics, and those with their manifests, from their beginnings to their ends, without a group.

    Raises:
        CannotTell: a topic is not there, or may not be read, or a transaction on it does not end.
        KafkaError: the broker cannot be asked.
    """
    found = Topics()
    async with AsyncExitStack() as stack:

        async def started(isolation: Literal["read_committed", "read_uncommitted"]) -> AIOKafkaConsumer:
            consumer = AIOKafkaConsumer(
                *topics,
                *manifests,
                isolation_level=isolation,
                auto_offset_reset="earliest",
                enable_auto_commit=False,
                max_partition_fetch_bytes=4 * 1024 * 1024,
                **kafka,
            )
            stack.push_async_callback(consumer.stop)
            await consumer.start()
            return consumer

        reader, anybody = await started("read_committed"), await started("read_uncommitted")
        places = reader.assignment()
        if unknown := {*topics, *manifests} - {place.topic for place in places}:
            raise CannotTell(f"not there, or not granted: {', '.join(sorted(unknown))}")
        of_manifests = [place for place in places if place.topic in manifests]
        until = await reader.end_offsets(of_manifests)
        ends = until | await anybody.end_offsets([place for place in places if place.topic in topics])
        await _to_the_ends(reader, ends, set(manifests), found)
    found.read_at = datetime.now(UTC)
    return found


async def _to_the_ends(
    reader: AIOKafkaConsumer, ends: Mapping[TopicPartition, int], manifests: set[str], found: Topics
) -> None:
    left, last = set(ends), time.monotonic()
    while left := {place for place in left if await reader.position(place) < ends[place]}:
        batches = await reader.getmany(*left, timeout_ms=200)
        if batches:
            last = time.monotonic()
        elif time.monotonic() - last > PATIENCE:
            raise CannotTell(f"no record came for {PATIENCE:.0f} s: is a transaction still open?")
        for place, records in batches.items():
            if place.topic in manifests:
                _take_manifests(records, ends[place], found)
            else:
                _take_events(place.topic, records, found)


def _take_events(topic: str, records: Sequence[ConsumerRecord], found: Topics) -> None:
    try:
        found.received.add_records(topic, records)
    except Malformed as error:
        if len(records) == 1:
            found.unreadable.append(_at(records[0], error))
        for record in records if len(records) > 1 else ():
            _take_events(topic, [record], found)


def _take_manifests(records: Iterable[ConsumerRecord], end: int, found: Topics) -> None:
    for record in records:
        if record.offset >= end:
            continue
        try:
            manifest = decode(record.value, record.headers).data
        except Malformed as error:
            found.unreadable.append(_at(record, error))
            continue
        if isinstance(manifest, ManifestIssued):
            found.manifests.append(manifest)


def _at(record: ConsumerRecord, error: Malformed) -> str:
    return f"{record.topic}, partition {record.partition}, offset {record.offset}: {error}"


async def services(http: httpx.AsyncClient, places: Sequence[str]) -> Services:
    """What the services, or files with what they had, say of their keys.

    Raises:
        CannotTell: one cannot be read, or is no set of keys; or one names what another one names, or is not its own.
    """
    documents: list[Mapping[str, Any]] = []
    keys: dict[str, Jwk] = {}
    urls: dict[str, str] = {}
    for place in places:
        try:
            if place.startswith(_WEB):
                answer = await http.get(place.rstrip("/") + KEYS)
                document = answer.raise_for_status().json()
            else:
                document = json.loads(await asyncio.to_thread(Path(place).read_bytes))
            documents.append(document)
            keys = trusted_keys(*documents)
            if place.startswith(_WEB):
                urls |= {key["source"]: place.rstrip("/") for key in trusted_keys(document).values()}
        except Disputed as error:
            raise CannotTell(f"the keys of {place} are not believed: {error}") from None
        except (httpx.HTTPError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise CannotTell(f"the keys of {place} cannot be read: {error!r}") from None
    return Services(keys, urls)


async def told(http: httpx.AsyncClient, urls: Mapping[str, str], gaps: Mapping[Stream, Sequence[Span]]) -> Log:
    """What the services' logs have in these gaps, read from their feeds; of sources without a URL nothing.

    Raises:
        CannotTell: a feed cannot be asked, or refuses.
    """
    found: dict[Stream, dict[int, Told]] = {stream: {} for stream in gaps if stream.source in urls}
    for topic, source in {(stream.topic, stream.source) for stream in found}:
        of_topic = {stream: spans for stream, spans in gaps.items() if (stream.topic, stream.source) == (topic, source)}
        last = max((stream.generation, spans[-1].last) for stream, spans in of_topic.items())
        wanted = {
            (stream.generation, sequence)
            for stream, spans in of_topic.items()
            for span in spans
            for sequence in range(span.first, span.last + 1)
        }
        url = httpx.URL(f"{urls[source]}/events", params={"topics": topic, "limit": PAGE})
        reached = (0, 0)
        while reached < last:
            try:
                answer = (await http.get(url)).raise_for_status()
                events = cast("list[dict[str, Any]]", answer.json())
                for event in events:
                    reached = int(event["generation"]), int(event["sequence"])
                    if reached in wanted:
                        said = Told(UUID(event["id"]), UUID(event["subject"]), erased="data" not in event)
                        found[Stream(topic, event["source"], reached[0])][reached[1]] = said
            except (httpx.HTTPError, ValueError, TypeError, KeyError) as error:
                raise CannotTell(f"the feed cannot be read: {error}") from None
            if len(events) < PAGE:
                break
            url = url.join(answer.links["next"]["url"])
    return found


async def verdict(topics: Topics, known: Services, http: httpx.AsyncClient, lag: timedelta) -> Verdict:
    """What was read, compared with the manifests; what seems to be compacted away is looked up in the logs that can be asked."""
    now = topics.read_at
    first = verify(topics.received, topics.manifests, known.keys, read_at=now, compaction_lag=lag)
    gaps = {
        each.stream: each.compacted for each in first.streams if each.compacted and each.stream.source in known.urls
    }
    if not gaps:
        return first
    log = await told(http, known.urls, gaps)
    return verify(topics.received, topics.manifests, known.keys, read_at=now, compaction_lag=lag, log=log)


LAG = timedelta(milliseconds=int(BY_NAME["CompanyRegistered"].configuration["min.compaction.lag.ms"]))


def command(
    kafka: Annotated[str, typer.Option(envvar="KAFKA_BOOTSTRAP_SERVERS", metavar="HOST:PORT", help="the brokers")],
    service: Annotated[
        list[str],
        typer.Option(
            metavar="URL|FILE", help=f"a service, whose keys are read at {KEYS}; or a file with them; repeat it"
        ),
    ],
    topic: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="a topic; repeat it; without it, all that are public")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="SOJOURN_TOKEN", help="looks up in the services' feeds whether what is gone was compacted away"
        ),
    ] = None,
    compaction_lag: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0, help="the topics' min.compaction.lag: what is younger cannot be gone"),
    ] = LAG.total_seconds(),
    security_protocol: Protocol = "PLAINTEXT",
    username: Username = None,
    password: Password = None,
    ca_file: CaFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object instead of lines")] = False,
) -> None:
    """Reads topics and their manifests from Kafka, and says what is missing.

    Exit status: 0 if nothing is, 1 if something is missing, doubled, altered or not signed for in time, 2 if it cannot be told.
    """
    try:
        client = connection(kafka, security_protocol, username, password, ca_file)
        topics, found = asyncio.run(_asked(client, service, topic or [], token, timedelta(seconds=compaction_lag)))
    except (CannotTell, KafkaError, OSError, ValueError) as error:
        typer.echo(f"cannot be told: {error or repr(error)}", err=True)
        raise typer.Exit(2) from None
    whole = found.complete and not topics.unreadable
    if as_json:
        typer.echo(
            json.dumps({"complete": whole, "unreadable": topics.unreadable, **asdict(found)}, default=str, indent=2)
        )
    else:
        typer.echo("\n".join(lines(found, topics.unreadable)))
    if not whole:
        raise typer.Exit(1)


async def _asked(
    client: Mapping[str, Any], places: Sequence[str], names: Sequence[str], token: str | None, lag: timedelta
) -> tuple[Topics, Verdict]:
    wanted = _wanted(names)
    manifests = sorted({topic.manifest.topic() for topic in wanted if topic.manifest})
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(headers=headers, timeout=30) as http:
        known = await services(http, places)
        topics = await read(client, [topic.name for topic in wanted], manifests)
        ours = {topic.name for topic in wanted}
        topics.manifests = [each for each in topics.manifests if each.topic_name in ours]
        return topics, await verdict(topics, known if token else replace(known, urls={}), http, lag)


def _wanted(names: Sequence[str]) -> list[Topic]:
    wanted = [topic for topic in TOPICS if topic.manifest and (topic.name in names or not names)]
    if not names:
        return [topic for topic in wanted if topic.visibility is Visibility.PUBLIC]
    if unknown := set(names) - {topic.name for topic in wanted}:
        raise CannotTell(f"no topics that manifests tell of: {', '.join(sorted(unknown))}")
    return wanted


def lines(found: Verdict, unreadable: Sequence[str]) -> list[str]:
    """The verdict in words."""
    told = [line for each in found.streams for line in _of_stream(each)]
    told += [
        f"{lost.topic} of {lost.source}: manifest {lost.manifest_id}, from before {_time(lost.before)}, is missing"
        for lost in found.lost
    ]
    told += [
        f"{refused.manifest.topic_name} of {refused.manifest.source}: manifest {refused.manifest.manifest_id} proves nothing:"
        f" {refused.reason}"
        for refused in found.refused
    ]
    told += [f"unreadable: {each}" for each in unreadable]
    missing = sum(span.size for each in found.streams for span in each.missing)
    whole = found.complete and not unreadable
    return [*told, "nothing is missing" if whole else f"not complete; {missing} events are missing"]


def _of_stream(found: Findings) -> list[str]:
    until = f"all before {_time(found.until)}" if found.until else "nothing is proven"
    gone = sum(span.size for span in found.compacted)
    return [
        f"{found.stream}: {found.received} events, {found.proven} of them proven, {gone} compacted away; {until};"
        f" {found.unproven} not covered yet",
        *([f"  missing: {', '.join(map(str, found.missing))}"] if found.missing else []),
        *(f"  doubled: sequence {each.sequence} is {each.received} and {each.also}" for each in found.doubled),
        *([f"  altered: {', '.join(map(str, found.altered))}"] if found.altered else []),
        *(["  overdue: what is not covered yet should be by now"] if found.overdue else []),
    ]


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%MZ")
