"""A mail catcher: takes every mail that the services send, keeps it as a file, and sends it on to nobody.

A file's name says its number, its template and its address, so that a mail is found without reading all of them:
``kept(folder, to="ana@example.org", template="sign_in")[-1].link`` is the newest link to sign in with.
"""

import asyncio
import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property
from pathlib import Path
from urllib.parse import quote, unquote

from aiosmtpd.smtp import SMTP, Envelope, Session

from laptop.ports import HOST

FOLDER = "mails"
"""Below the folder of the run."""

_NAME = re.compile(r"(\d+)\.([^.]+)\.(.+)\.eml")
_LINK = re.compile(r"^https?://\S+", re.MULTILINE)


@dataclass(frozen=True)
class Kept:
    """A mail that was caught."""

    number: int
    template: str
    to: str
    path: Path

    @cached_property
    def message(self) -> EmailMessage:
        message = message_from_bytes(self.path.read_bytes(), policy=policy.default)
        assert isinstance(message, EmailMessage)  # noqa: S101 - such is what this policy makes
        return message

    @property
    def message_id(self) -> str:
        return str(self.message["Message-ID"])

    @property
    def text(self) -> str:
        body = self.message.get_body(("plain",))
        return body.get_content() if body else ""

    @property
    def link(self) -> str | None:
        """Where the mail leads to."""
        found = _LINK.search(self.text)
        return found[0] if found else None


def kept(folder: Path, *, to: str | None = None, template: str | None = None) -> list[Kept]:
    """The mails in the order in which they came; ``folder`` is that of the run."""
    pattern = f"*.{template or '*'}.{_quoted(to) if to else '*'}.eml"
    found = [
        Kept(int(name[1]), name[2], unquote(name[3]), path)
        for path in (folder / FOLDER).glob(pattern)
        if (name := _NAME.fullmatch(path.name))
    ]
    return sorted(found, key=lambda mail: mail.number)


async def arrived(folder: Path, *, to: str, template: str, within: float = 20.0) -> Kept:
    """The newest mail to an address, once there is one.

    Raises:
        TimeoutError: there is none after so many seconds.
    """
    async with asyncio.timeout(within):
        while not (found := kept(folder, to=to, template=template)):  # noqa: ASYNC110 - another process writes the files
            await asyncio.sleep(0.05)
    return found[-1]


def _quoted(address: str) -> str:
    """As part of a file's name, in which nothing is a pattern or leads elsewhere."""
    return quote(address.lower(), safe="@+")


class Catcher:
    """The server's side: one file for each mail and recipient, there as a whole before the mail is accepted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._folder.mkdir(parents=True, exist_ok=True)
        self._number = max((mail.number for mail in kept(folder)), default=0)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        message = message_from_bytes(content, policy=policy.default)
        template = re.sub(r"[^a-z_]", "", str(message["X-Notice-Template"] or "")) or "other"
        self._keep(template, envelope.rcpt_tos, content)
        return "250 OK"

    def _keep(self, template: str, recipients: Sequence[str], content: bytes) -> None:
        for recipient in recipients:
            self._number += 1
            path = self._folder / f"{self._number:06d}.{template}.{_quoted(recipient)}.eml"
            beside = path.with_suffix(".part")
            beside.write_bytes(content)
            beside.rename(path)


async def catch(folder: Path, port: int) -> None:
    """Catches mails until it is told to stop."""
    catcher = Catcher(folder)
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    listening = await loop.create_server(lambda: SMTP(catcher, hostname="mails", enable_SMTPUTF8=True), HOST, port)
    await stopped.wait()
    listening.close()  # and no more: a client may keep its connection, which ends with us
