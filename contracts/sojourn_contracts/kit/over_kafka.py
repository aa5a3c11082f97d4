"""The conformance kit over Kafka, for a subscriber in any language: behind a topic of its own, judged by the state that it tells.

The subscriber reads that topic from its beginning, tells events apart by ``ce_type``, and tells its state as a JSON object of the
form that ``conformance.Subscriber.state`` says: at a URL, by a command, or in a file. It is never reset: each time it is told of
other subjects. Once its state has the last of them, it has handled everything before.
"""

import asyncio
import json
import os
import re
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, cast

import httpx
import typer
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from sojourn_contracts.catalogue import reserved
from sojourn_contracts.connection import connection
from sojourn_contracts.kit.conformance import CHECKS, NotApplicable, Records, Violated
from sojourn_contracts.kit.connection import CaFile, Password, Protocol, Username
from sojourn_contracts.kit.history import Record, history

Ask = Callable[[], str]
"""Gives what the subscriber tells of its state; raises OSError, httpx.HTTPError or subprocess.SubprocessError."""

LOOK_AGAIN = 0.05
"""Seconds between two looks at the state."""
_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CHANGED = (1 << 128) - 1 & ~(0xF << 76) & ~(0x3 << 62)
"""The bits of a UUID that are neither version nor variant."""


class Stalled(Violated):
    """The subscriber does not get to the end of what it is told; nothing more can be found out on this topic."""


class OverKafka:
    """A ``conformance.Subscriber`` behind a topic.

    Ids are not those of the history: in each telling they are others, and what the subscriber tells is read with them put back.
    """

    def __init__(
        self, runner: asyncio.Runner, producer: AIOKafkaProducer, topic: str, topics: Collection[str], ask: Ask
    ):
        self.topics = topics
        self.within = 30.0
        """Seconds that it has for what it is told."""
        self.ended: Callable[[], str | None] = lambda: None
        """Why it cannot answer any more, if that is known."""
        self._runner = runner
        self._producer = producer
        self._topic = topic
        self._ask = ask
        self._salt = 0
        self._told: set[str] = set()

    def reset(self) -> None:
        self._salt = _salt()
        self._told = set()

    def feed(self, records: Records) -> None:
        changed = [_with_other_ids(record, self._salt) for record in records]
        self._told |= {id_ for record in changed for id_ in (record.subject, record.event_id)}
        self._runner.run(self._send(changed))

    def state(self) -> Mapping[str, Any]:
        state = self._runner.run(self._state_at_the_end())
        ours = {
            part: {id_: value for id_, value in cast("dict[str, Any]", told).items() if id_ in self._told}
            for part, told in state.items()
            if isinstance(told, dict)
        }
        return json.loads(_other_ids(json.dumps(ours).encode(), self._salt))

    async def _send(self, records: Records, partition: int | None = None) -> None:
        sent = [
            await self._producer.send(
                self._topic, value=record.value, key=record.key, headers=record.headers, partition=partition
            )
            for record in records
        ]
        for each in sent:
            await each

    async def _state_at_the_end(self) -> dict[str, Any]:
        """Of each partition, since the last record there is told by one of its own."""
        last: set[str] = set()
        for partition in await self._producer.partitions_for(self._topic):
            marker = _with_other_ids(history(self.topics)[0], _salt())
            last.add(marker.subject)
            await self._send([marker], partition)
        deadline = time.monotonic() + self.within
        while True:
            state, why = await asyncio.to_thread(self._asked)
            if last <= state.get("subjects", {}).keys():
                return state
            if (ended := self.ended()) or time.monotonic() > deadline:
                why = ended or why or "its state does not have what it was told last"
                raise Stalled(f"it did not get to the end of what it was told within {self.within:g} s: {why}")
            await asyncio.sleep(LOOK_AGAIN)

    def _asked(self) -> tuple[dict[str, Any], str]:
        """Its state, or why it has none; a file may be read while it is written."""
        try:
            told = json.loads(self._ask())
        except (OSError, ValueError, httpx.HTTPError, subprocess.SubprocessError) as error:
            return {}, f"its state cannot be read: {type(error).__name__}: {error}"
        if not isinstance(told, dict) or not isinstance(cast("dict[str, Any]", told).get("subjects"), dict):
            return {}, 'its state is not {"subjects": {...}}'
        return cast("dict[str, Any]", told), ""


class Run:
    """The checks of one subscriber, told by lines of text."""

    def __init__(
        self,
        kafka: Mapping[str, Any],
        topic: str,
        topics: Collection[str],
        ask: Ask,
        within: float,
        command: str | None,
    ) -> None:
        """``kafka``: aiokafka's settings, those for security among them.

        ``command`` starts the subscriber; None, if somebody else has started it.
        """
        self._kafka = kafka
        self._topic = topic
        self._topics = topics
        self._ask = ask
        self._within = within
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0

    def checks(self, names: Collection[str], say: Callable[[str], None]) -> bool:
        """Whether all that could be asked was kept."""
        kept = True
        with asyncio.Runner() as runner:
            producer = runner.run(_connected(self._kafka))
            try:
                subscriber = self._begun(runner, producer)
                for place, name in enumerate(names):
                    try:
                        CHECKS[name].run(subscriber)
                    except NotApplicable as reason:
                        say(f"not asked  {name}: {reason}")
                    except Violated as violated:
                        kept = False
                        say(f"VIOLATED   {name}: {CHECKS[name].promise}\n           {violated}")
                        if isinstance(violated, Stalled):
                            if self._command is None:
                                left = list(names)[place + 1 :]
                                if left:
                                    say(f"not asked  {', '.join(left)}: it stands still, and is not ours to start anew")
                                break
                            subscriber = self._begun(runner, producer)
                    else:
                        say(f"kept       {name}")
            finally:
                self._end()
                runner.run(producer.stop())
        return kept

    def _begun(self, runner: asyncio.Runner, producer: AIOKafkaProducer) -> OverKafka:
        """The subscriber on a topic on which nothing is in its way: the one that was named, and then others beside it."""
        self._end()
        self._starts += 1
        topic = self._topic if self._starts == 1 else f"{self._topic}-{self._starts}"
        runner.run(_made(self._kafka, topic))
        if self._command is not None:
            where = {"KAFKA_BOOTSTRAP_SERVERS": self._kafka["bootstrap_servers"], "TOPIC": topic}
            self._process = subprocess.Popen(  # noqa: S603 - it is what we were asked to start
                shlex.split(self._command), env={**os.environ, **where}, stdout=sys.stderr
            )
        subscriber = OverKafka(runner, producer, topic, self._topics, self._ask)
        subscriber.within, subscriber.ended = self._within, self._ended
        return subscriber

    def _ended(self) -> str | None:
        code = None if self._process is None else self._process.poll()
        return None if code is None else f"its command ended with {code}"

    def _end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def conformance(
    bootstrap: Annotated[
        str,
        typer.Option(
            envvar="KAFKA_BOOTSTRAP_SERVERS", help="brokers to begin with: host:port, several separated by commas"
        ),
    ],
    topic: Annotated[
        str, typer.Option(help="the subscriber's own: made if it is missing, with one partition; never a catalogue's")
    ],
    events: Annotated[str, typer.Option(help="what it takes: topics of the catalogue, separated by commas")],
    run: Annotated[
        str | None,
        typer.Option(
            help="the command that starts the subscriber, with KAFKA_BOOTSTRAP_SERVERS and TOPIC in its environment;"
            " without it, it is taken to run already"
        ),
    ] = None,
    state_url: Annotated[str | None, typer.Option(help="where the subscriber tells its state")] = None,
    state_command: Annotated[str | None, typer.Option(help="a command that prints it")] = None,
    state_file: Annotated[Path | None, typer.Option(help="a file that the subscriber writes it to")] = None,
    check: Annotated[list[str] | None, typer.Option(help="one of the checks, instead of all; may be repeated")] = None,
    within: Annotated[float, typer.Option(help="seconds that the subscriber has for what it is told at once")] = 30,
    security_protocol: Protocol = "PLAINTEXT",
    username: Username = None,
    password: Password = None,
    ca_file: CaFile = None,
) -> None:
    """Tells a subscriber over Kafka what it will have to live with, and says which promises it does not keep.

    Its state is a JSON object: {"subjects": {"<id>": {"revision": 3}}, "effects": {"<event id>": 1}}. Each subject that it was
    told of is there, with whatever it knows of it, but for those that a tombstone erased. `effects` may be left out.
    """
    if reason := reserved(topic):
        raise typer.BadParameter(reason, param_hint="--topic")
    topics = [name.strip() for name in events.split(",")]
    try:
        history(topics)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--events") from None
    if unknown := set(check or ()) - CHECKS.keys():
        raise typer.BadParameter(
            f"no check is called {', '.join(sorted(unknown))}; there are {', '.join(CHECKS)}", param_hint="--check"
        )
    ask = _ask(state_url, state_command, state_file)
    try:
        kafka = connection(bootstrap, security_protocol, username, password, ca_file)
        kept = Run(kafka, topic, topics, ask, within, run).checks(check or list(CHECKS), typer.echo)
    except (KafkaError, OSError) as error:
        typer.echo(f"not asked: {type(error).__name__}: {error}", err=True)
        raise typer.Exit(2) from None
    if not kept:
        raise typer.Exit(1)


def _ask(url: str | None, command: str | None, file: Path | None) -> Ask:
    if url is not None and command is None and file is None:
        return lambda: httpx.get(url).raise_for_status().text
    if command is not None and url is None and file is None:
        return lambda: subprocess.run(  # noqa: S603 - it is what we were asked to start
            shlex.split(command), stdout=subprocess.PIPE, check=True, timeout=30
        ).stdout.decode()
    if file is not None and url is None and command is None:
        return file.read_text
    raise typer.BadParameter("one of --state-url, --state-command and --state-file is needed")


async def _connected(kafka: Mapping[str, Any]) -> AIOKafkaProducer:
    producer = AIOKafkaProducer(**kafka, client_id="sojourn-conformance", linger_ms=0)
    try:
        await producer.start()
    except BaseException:
        await producer.stop()
        raise
    return producer


async def _made(kafka: Mapping[str, Any], topic: str) -> None:
    admin = AIOKafkaAdminClient(**kafka)
    try:
        await admin.start()
        if topic not in await admin.list_topics():
            await admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"min.insync.replicas": "1"})])
    finally:
        await admin.close()


def _salt() -> int:
    return secrets.randbits(128) & _CHANGED


def _with_other_ids(record: Record, salt: int) -> Record:
    return Record(
        record.topic,
        _other_ids(record.key, salt),
        None if record.value is None else _other_ids(record.value, salt),
        [(name, _other_ids(value, salt)) for name, value in record.headers],
    )


def _other_ids(text: bytes, salt: int) -> bytes:
    """Each UUID becomes another of its kind; done again with the same salt, all are as they were."""

    def other(found: re.Match[bytes]) -> bytes:
        digits = f"{int(found[0].replace(b'-', b''), 16) ^ salt:032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])).encode()

    return _UUID.sub(other, text)
