"""A real SMTP server on this machine that takes mails, or refuses them, hangs or hangs up as a test tells it."""

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult

logging.getLogger("mail.log").setLevel(logging.WARNING)  # it tells of every address

Answer = str | Callable[[Any], Any]
"""An SMTP answer, or a coroutine function that gets the server's side of the connection and may give one."""


class MailServer:
    """What came in, and what is to be answered: at RCPT by address, else at DATA by what comes next in ``at_data``."""

    def __init__(self) -> None:
        self.port = 0
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.senders: list[str] = []
        self.connections = 0
        self.encrypted: list[bool] = []
        self.at_rcpt: dict[str, Answer] = {}
        self.at_data: list[Answer] = []
        self.signed_in: list[bool] = []
        self.thawed = asyncio.Event()

    async def handle_EHLO(self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]) -> Any:  # noqa: N802
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        answer = await self._answer(self.at_rcpt.get(address), server)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        answer = await self._answer(self.at_data.pop(0) if self.at_data else None, server)
        if answer.startswith("250"):
            self.keep(session, envelope)
        return answer

    def keep(self, session: Any, envelope: Any) -> None:
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]
        self.recipients += envelope.rcpt_tos
        self.senders.append(envelope.mail_from)
        self.encrypted.append(session.ssl is not None)
        self.signed_in.append(bool(session.authenticated))

    async def _answer(self, answer: Answer | None, server: Any) -> str:
        if callable(answer):
            return await answer(server) or "250 OK"
        return answer or "250 OK"

    async def hang(self, server: Any) -> None:
        await self.thawed.wait()

    async def close(self, server: Any) -> str:
        server.transport.close()
        return "451 too late"


@asynccontextmanager
async def serving(
    mail_server: MailServer,
    *,
    tls: ssl.SSLContext | None = None,
    direct_tls: ssl.SSLContext | None = None,
    users: dict[str, str] | None = None,
    port: int = 0,
) -> AsyncGenerator[MailServer]:
    """Serves at a free port; with ``users`` nobody sends without signing in, with ``tls`` nobody without STARTTLS.

    With ``direct_tls`` all is encrypted from the first byte on.
    """

    def sign_in(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        known = users is not None and users.get(data.login.decode()) == data.password.decode()
        return AuthResult(success=known, handled=True)

    open_ones: list[Any] = []

    class Connected(SMTP):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            open_ones.append(transport)
            super().connection_made(transport)

    def connected() -> SMTP:
        return Connected(
            mail_server,
            hostname="mail.test",
            enable_SMTPUTF8=True,
            tls_context=tls,
            require_starttls=tls is not None,
            authenticator=sign_in,
            auth_required=users is not None,
            auth_require_tls=tls is not None,
        )

    listening = await asyncio.get_running_loop().create_server(connected, "127.0.0.1", port, ssl=direct_tls)
    mail_server.port = listening.sockets[0].getsockname()[1]
    try:
        yield mail_server
    finally:
        mail_server.thawed.set()
        listening.close()
        for transport in open_ones:
            transport.abort()
        await asyncio.sleep(0)  # the transports close in the loop's next turn
