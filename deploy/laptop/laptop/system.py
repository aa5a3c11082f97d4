"""The whole system on one machine: broker, database and the services as processes, started in order and ended in order.

Kafka and PostgreSQL are those of ``KAFKA_BOOTSTRAP_SERVERS`` and ``DATABASE_URL`` where these are set; else they run in
containers if ``BACKING=containers``, else embedded, with three brokers if ``BROKERS=3``. With ``GRANTS``, a file of grants, the
embedded broker asks everybody who they are, and lets them do what follows from the file.
Whatever goes wrong at a start, and however one leaves the block, nothing that was started is left behind.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType

import httpx
from sojourn_contracts.access import SINK
from sojourn_contracts.catalogue import SERVICES
from sojourn_contracts.grants import Grants, GrantsError
from sojourn_contracts.grants import read as read_grants

from laptop import backing
from laptop.access import client
from laptop.acls import AccessError, apply
from laptop.acls import kept_passwords as kept_users
from laptop.clock import StoppedClock
from laptop.containers import Contained
from laptop.ports import HOST, free_port
from laptop.postgres import private_file
from laptop.process import Process, Running, StartError, together
from laptop.roles import DATABASE, Database, kept_passwords, provision
from laptop.signing import kept_keys, kept_manifest_key
from laptop.topics import create_topics
from laptop.vies import Register

READY_WITHIN = 120.0
STOP_WITHIN = 20.0


class UncleanStopError(RuntimeError):
    """A service had ended by itself, did not stop in time, or did not end with 0."""


class System:
    """Broker, database and services, with everything they keep in ``folder``: data, logs, keys, passwords.

    A service that runs in several processes has them under the names ``exchange``, ``exchange-2`` and so on.
    """

    def __init__(
        self,
        folder: Path,
        *,
        stopped_at: datetime | None = None,
        environment: Mapping[str, str] | None = None,
        services: Sequence[str] = (*SERVICES, SINK),
        replicas: Mapping[str, int] | None = None,
        programs: Path | None = None,
        brokers: int | None = None,
        kafka: str | None = None,
        grants: Path | None = None,
        database_url: str | None = None,
        database_name: str = DATABASE,
        vies: Register | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """With ``stopped_at``, programme time stands still there until ``clock`` is set. ``say`` hears of progress.

        ``services`` are those that are started, and the survey's sink if it is among them. With ``programs``, a folder,
        they run the commands there; schemas are migrated by those beside this Python.
        ``vies``, for which the time has to stand still, is what a stand-in for the Union's VAT register knows; without,
        there is none.

        Raises:
            StartError: the environment says what cannot be.
        """
        self.folder = folder.absolute()
        self.logs = self.folder / "logs"
        kafka = kafka or os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
        self._admin_url = database_url or os.environ.get("DATABASE_URL")
        self._database_name = database_name
        self._environment = dict(environment or {})
        self._services = [service for service in services if service != SINK]
        self._sinks = SINK in services
        self._replicas = dict(replicas or {})
        self._programs = programs
        self._say = say
        self._stopped_at = stopped_at
        self._clock: StoppedClock | None = None
        self._database: Database | None = None
        self._external_kafka = kafka
        self._unclean: list[str] = []
        self._added = max(self._replicas.values(), default=1)
        self._grants: Grants | None = None
        self._grants_file = grants or (Path(os.environ["GRANTS"]) if os.environ.get("GRANTS") else None)
        self.broker = None if kafka else self._broker(brokers)
        self.server = None if self._admin_url else backing.database_server(self.folder, self.logs)
        self.catcher: Process | None = None
        """Takes the e-mails that registration sends: ``laptop.mails`` finds them in ``folder``."""
        self._smtp_port = 0
        self.vies: Process | None = None
        """Stands in for the Union's VAT register: ``laptop.vies`` tells what it answered."""
        self._register = vies
        self._vies_port = 0
        self.sink: Process | None = None
        """Keeps the table of the survey's released submissions, whose files are in ``warehouse``."""
        self.sink_url = ""
        self.processes: dict[str, Process] = {}
        self.urls: dict[str, str] = {}
        self._interruptible = terminated_like_ctrl_c()

    def _broker(self, brokers: int | None) -> backing.Broker:
        if self._grants_file is None:
            return backing.broker(self.folder, self.logs, brokers)
        try:
            self._grants = read_grants(self._grants_file)
        except GrantsError as error:
            raise StartError(str(error)) from None
        self._authorised = backing.authorised_broker(self.folder, self.logs, brokers)
        return self._authorised

    @property
    def warehouse(self) -> Path:
        return self.folder / "warehouse"

    @property
    def kafka(self) -> str:
        """Bootstrap servers; with grants, those of whoever looks after this system: they need no password."""
        return self._external_kafka or (self.broker.bootstrap if self.broker else "")

    @property
    def database(self) -> Database:
        if self._database is None:
            raise RuntimeError("the system was not started")
        return self._database

    @property
    def clock(self) -> StoppedClock:
        if self._clock is None:
            raise RuntimeError("this system's programme time is the time of day")
        return self._clock

    async def __aenter__(self) -> "System":
        self._interruptible.__enter__()
        try:
            await self.start()
        except BaseException:
            self._interruptible.__exit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            unclean = await self.stop()
        finally:
            self._interruptible.__exit__(None, None, None)
        if unclean and error is None:
            raise UncleanStopError("; ".join(unclean))
        if unclean and error is not None:
            error.add_note("Then: " + "; ".join(unclean))

    async def start(self) -> None:
        """Return when every service is ready; raise ``StartError``, with nothing left running, when one is not."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._stopped_at is not None:
            self._clock = StoppedClock(self.folder / "clock", self._stopped_at)
        self._say(
            "starting Kafka and PostgreSQL" if self.broker or self.server else "using Kafka and PostgreSQL as set"
        )
        await together(
            *(each.start() for each in (self.broker, self.server) if each is not None),
            self._catch_mails(),
            self._stand_in_for_vies(),
        )
        self._say("making topics, roles and schemas")
        brokers = len(self.broker.parts) if self.broker else None
        await together(self._provision(), create_topics(self.kafka, brokers))
        await together(self._authorise(), *(self.run(service, "migrate") for service in self._services))
        self._say("starting the services")
        for service in self._services:
            for number in range(1, self._replicas.get(service, 1) + 1):
                self._add(service if number == 1 else f"{service}-{number}", service)
        self._add_sink()
        await together(*(self.start_service(name) for name in self.processes), self._start_sink())

    async def _provision(self) -> None:
        admin_url = self._admin_url or (self.server.admin_url if self.server else "")
        passwords = kept_passwords(self.folder / "passwords.json")
        self._database = await provision(admin_url, passwords, self._database_name)

    async def _authorise(self) -> None:
        if self._grants is None:
            return
        try:
            await asyncio.to_thread(apply, client(self.kafka), self._grants, self._kafka_passwords)
        except AccessError as error:
            raise StartError(str(error)) from None

    @property
    def _kafka_passwords(self) -> Path:
        return self.folder / "kafka-passwords.json"

    def kafka_of(self, user: str) -> dict[str, str]:
        """What a user of the broker needs in its environment: one of our own, or a client of the grants."""
        if self._grants is None:
            return {"KAFKA_BOOTSTRAP_SERVERS": self.kafka}
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self._authorised.for_users,
            "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "KAFKA_USERNAME": user,
            "KAFKA_PASSWORD": kept_users(self._kafka_passwords).get(user, ""),
        }

    async def _catch_mails(self) -> None:
        """Only one is needed, and none where nobody sends any."""
        if "registration" not in self._services:
            return
        self._smtp_port = free_port()
        arguments = ["mails", "catch", "--folder", str(self.folder), "--port", str(self._smtp_port)]
        self.catcher = Process(
            "mails", [_command("laptop"), *arguments], log=self.logs / "mails.log", environment=_inherited()
        )
        await _until_it_listens(self.catcher, self._smtp_port)

    async def _stand_in_for_vies(self) -> None:
        if self._register is None:
            return
        self._register.write(self.folder)
        self._vies_port = free_port()
        arguments = ["--folder", str(self.folder), "--clock", str(self.clock.file), "--port", str(self._vies_port)]
        self.vies = Process(
            "VIES", [_command("laptop"), "vies", *arguments], log=self.logs / "vies.log", environment=_inherited()
        )
        await _until_it_listens(self.vies, self._vies_port)

    def _add(self, name: str, service: str, programs: Path | None = None) -> None:
        command = [_command(service, programs or self._programs), "serve"]
        self.processes[name], self.urls[name] = self._answering(name, command, self.environment(service))

    def _add_sink(self) -> None:
        """No service, and so under none of ``processes`` and ``urls``: it does not go by the programme's clock."""
        if self._sinks:
            environment = self.environment("survey") | self.kafka_of(SINK)
            self.sink, self.sink_url = self._answering(SINK, [_command("survey"), "sink"], environment)

    def _answering(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> tuple[Process, str]:
        """One that is not started yet, and where it will answer."""
        port = free_port()
        given = {**environment, "HTTP_HOST": HOST, "HTTP_PORT": str(port)}
        return self._process(name, command, given), f"http://{HOST}:{port}"

    def _process(self, name: str, command: Sequence[str], environment: dict[str, str]) -> Process:
        return Process(name, command, log=self.logs / f"{name}.log", environment=environment)

    async def _start_sink(self) -> None:
        if self.sink is not None:
            self.sink.spawn()
            await self._until_ready(self.sink, self.sink_url)

    def environment(self, service: str) -> dict[str, str]:
        """What that service's commands need."""
        return _inherited() | self.settings(service)

    def write_settings(self) -> None:
        """A file ``<service>.env`` for each, as ``sojourn doctor --environments`` reads them."""
        folder = self.folder / "environments"
        folder.mkdir(exist_ok=True)
        for service in self._services:
            lines = (f"{name}={value}\n" for name, value in self.settings(service).items())
            private_file(folder / f"{service}.env", "".join(lines))

    def settings(self, service: str) -> dict[str, str]:
        """Those of the service here, with its passwords: not for logs."""
        keys = kept_keys(self.folder)
        ours = {
            "DATABASE_URL": self.database.url(service),
            **self.kafka_of(service),
            "JWKS": str(keys.public),
            "MANIFEST_KEY": str(kept_manifest_key(self.folder, service)),
            # whoever asks here is the same client
            "REQUESTS_PER_CLIENT": "1000000",
            "REQUESTS_AT_ONCE": "25000",
            "LOG_FORMAT": "json",
            "PYTHONUNBUFFERED": "1",
        }
        if service == "registration":
            ours["SIGNING_KEY"] = str(keys.private)
            ours |= {"GRANTS": str(self._grants_file.absolute())} if self._grants_file else {}
            ours |= {"SMTP_HOST": HOST, "SMTP_PORT": str(self._smtp_port)}
            ours["SIGN_INS_PER_CLIENT"] = "1000000"
        if service == "survey":
            ours |= {"CATALOG_URL": self.database.url(service), "WAREHOUSE": str(self.warehouse)}
        if self._clock is not None:
            ours["CLOCK_FILE"] = str(self._clock.file)
        theirs = {"VIES_URL": f"http://{HOST}:{self._vies_port}"} if self.vies else {}
        return ours | self._environment | theirs

    async def run(self, service: str, *arguments: str, within: float = 180) -> str:
        """Run one of a service's commands to its end and return what it printed; raise ``StartError`` when it failed."""
        environment = self.environment(service) | {"MIGRATOR_DATABASE_URL": self.database.migrator_url}
        command = await asyncio.create_subprocess_exec(
            _command(service),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        try:
            output, errors = await asyncio.wait_for(command.communicate(), within)
        except BaseException:
            if command.returncode is None:
                command.kill()
                await command.wait()
            raise
        if command.returncode != 0:
            raise StartError(
                f"`{service} {' '.join(arguments)}` ended with {command.returncode}:\n{errors.decode()[-4000:]}"
            )
        return output.decode()

    async def start_service(self, name: str) -> None:
        """Start a process that does not run, and return when it is ready."""
        process = self.processes[name]
        process.spawn()
        await self._until_ready(process, self.urls[name])

    async def _until_ready(self, process: Process, url: str) -> None:
        deadline = asyncio.get_running_loop().time() + READY_WITHIN
        async with httpx.AsyncClient(timeout=5) as client:
            while asyncio.get_running_loop().time() < deadline:
                process.require_alive()
                try:
                    if (await client.get(url + "/ready")).status_code == httpx.codes.OK:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)
        raise process.failure(f"was not ready within {READY_WITHIN:.0f} s")

    async def add(self, service: str, programs: Path | None = None) -> str:
        """Start another process of a service, of the commands in that folder if it is given, else of those that all run.

        Its name, once it is ready.
        """
        self._added += 1
        name = f"{service}-{self._added}"
        self._add(name, service, programs)
        await self.start_service(name)
        return name

    async def remove(self, name: str) -> None:
        """Stop a process as an upgrade would; it does not come back."""
        await self._stop_service(self.processes[name])
        del self.processes[name], self.urls[name]

    async def restart(self, name: str) -> None:
        """Stop a process as an upgrade would, and start it again at the same address."""
        await self._stop_service(self.processes[name])
        await self.start_service(name)

    async def scale(self, service: str, replicas: int) -> None:
        """Let so many processes of a service run: new ones are ready when this returns, and those too many have stopped.

        New ones start side by side; the newest stop first, one after the other.
        """
        names = [name for name in self.processes if name.split("-")[0] == service]
        await together(*(self.add(service) for _ in range(replicas - len(names))))
        for name in reversed(names[replicas:]):
            await self.remove(name)

    async def kill(self, name: str) -> None:
        """SIGKILL; ``start_service`` brings it back."""
        await self.processes[name].kill()

    async def stop_services(self) -> list[str]:
        """Ask every service to end and wait for it; one sentence for each that did not stop cleanly, up to now."""
        sink = [self.sink] if self.sink is not None else []
        await together(*(self._stop_service(process) for process in (*self.processes.values(), *sink)))
        return self._unclean

    async def stop(self) -> list[str]:
        """End everything: the services, then what they work on. Returns what ``stop_services`` does."""
        await self.stop_services()
        await together(
            *(each.stop() for each in (self.broker, self.server, self.catcher, self.vies) if each is not None)
        )
        return self._unclean

    def running(self) -> list[Running | Contained]:
        """What finds the processes again, also from elsewhere."""
        return [part.running for part in self._all() if part.running is not None]

    def let_go(self) -> None:
        """From now on the system outlives us."""
        for part in self._all():
            part.let_go()

    def _all(self) -> list[backing.Part]:
        servers = [each for each in (self.broker, self.server) if each is not None]
        beside = [each for each in (self.sink, self.catcher, self.vies) if each is not None]
        return [*self.processes.values(), *beside, *(part for server in servers for part in server.parts)]

    async def _stop_service(self, process: Process) -> None:
        if process.running is None:
            return
        ended = process.exit_code
        code = await process.stop(STOP_WITHIN)
        if ended is not None:
            self._unclean.append(str(process.failure(f"had ended with {ended} before it was told to stop")))
        elif code == -signal.SIGKILL:
            self._unclean.append(f"{process.name} did not stop within {STOP_WITHIN:.0f} s and was killed")
        elif code != 0:
            self._unclean.append(str(process.failure(f"did not stop cleanly, but with {code}")))


async def _until_it_listens(process: Process, port: int) -> None:
    process.spawn()
    deadline = asyncio.get_running_loop().time() + READY_WITHIN
    while not await _listens(port):
        process.require_alive()
        if asyncio.get_running_loop().time() > deadline:
            raise process.failure(f"was not ready within {READY_WITHIN:.0f} s")
        await asyncio.sleep(0.05)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True


def _command(service: str, programs: Path | None = None) -> str:
    path = (programs or Path(sys.executable).parent) / service
    if not path.exists():
        raise StartError(f"there is no command {path}: run `uv sync`")
    return str(path)


def _inherited() -> dict[str, str]:
    """Our environment without what is meant for services: those get it from us."""
    ours = (
        "DATABASE_URL",
        "MIGRATOR_DATABASE_URL",
        "KAFKA_BOOTSTRAP_SERVERS",
        "KAFKA_SECURITY_PROTOCOL",
        "KAFKA_USERNAME",
        "KAFKA_PASSWORD",
        "KAFKA_PASSWORD_FILE",
        "KAFKA_CA_FILE",
        "KAFKA_CERTIFICATE_FILE",
        "KAFKA_KEY_FILE",
        "DATABASE_PASSWORD_FILE",
        "MIGRATOR_DATABASE_PASSWORD_FILE",
        "GRANTS",
        "JWKS",
        "SIGNING_KEY",
        "CLOCK_FILE",
        "CATALOG_URL",
        "CATALOG_PASSWORD_FILE",
        "WAREHOUSE",
    )
    return {name: value for name, value in os.environ.items() if name not in ours}


@contextmanager
def terminated_like_ctrl_c() -> Iterator[None]:
    """SIGTERM and SIGHUP end us as Ctrl-C does: through every block that stops what it started.

    Also where a shell started us in the background, with Ctrl-C ignored: else we could not be ended but by force.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT)) for number in numbers}
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
