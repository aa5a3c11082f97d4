"""Hands mails to the mail server over SMTP, with a few connections that stay open from one mail to the next.

Addresses are in no error that leaves here: errors end up in logs.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from email.message import EmailMessage

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

from registration.notices.domain import Reason
from registration.settings import MailSettings

IDLE_SECONDS = 5.0
"""A connection that nobody used for longer is not used again: servers close theirs by and by."""


class MailTrouble(OSError):  # noqa: N818 - as the chassis calls what waiting may cure
    """The mail server is away, or says that it may take the mail later."""


class Post:
    """The mail server, as one process uses it."""

    def __init__(self, settings: MailSettings) -> None:
        self._settings = settings
        self._idle: list[tuple[SMTP, float]] = []

    async def send(self, mail: EmailMessage) -> Reason | None:
        """None once the server accepted the mail, else why it never will; it may have accepted it although this raises.

        Raises:
            MailTrouble: trying again later may help.
        """
        try:
            async with asyncio.timeout(self._settings.smtp_seconds), self._connection() as server:
                await server.send_message(mail)
        except SMTPRecipientsRefused as refused:
            return _never(refused.recipients[0].code, Reason.ADDRESS_REFUSED)
        except SMTPDataError as refused:
            return _never(refused.code, Reason.MESSAGE_REFUSED)
        except (SMTPNotSupported, ValueError):  # an address that the server, or SMTP as such, cannot write
            return Reason.ADDRESS_REFUSED
        except SMTPResponseException as refused:
            raise MailTrouble(f"{type(refused).__name__}: the mail server answers {refused.code}") from None
        except MailTrouble:
            raise
        except (SMTPException, OSError, TimeoutError) as trouble:
            raise MailTrouble(f"{type(trouble).__name__}: the mail server cannot be reached, or is silent") from None
        return None

    def close(self) -> None:
        """Lets go of the connections."""
        while self._idle:
            self._idle.pop()[0].close()

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[SMTP]:
        server = self._reusable() or await self._connected()
        try:
            yield server
        except BaseException:
            server.close()
            raise
        self._idle.append((server, time.monotonic()))

    def _reusable(self) -> SMTP | None:
        while self._idle:
            server, since = self._idle.pop()
            if server.is_connected and time.monotonic() - since < IDLE_SECONDS:
                return server
            server.close()
        return None

    async def _connected(self) -> SMTP:
        said = self._settings
        server = SMTP(
            hostname=said.smtp_host,
            port=said.smtp_port,
            username=said.smtp_user,
            password=said.smtp_password.get_secret_value() if said.smtp_password else None,
            use_tls=said.smtp_security == "tls",
            start_tls=said.smtp_security == "starttls",
            timeout=said.smtp_seconds,
        )
        try:
            await server.connect()
        except (SMTPNotSupported, ValueError) as wrong:  # about the server or the settings, not about the mail
            server.close()
            raise MailTrouble(f"{type(wrong).__name__}: the mail server lacks what the settings ask for") from None
        except BaseException:
            server.close()
            raise
        return server


def _never(code: int, reason: Reason) -> Reason:
    """What is refused for now may be taken later; what is refused for good, not."""
    if code < 500:
        raise MailTrouble(f"the mail server answers {code}")
    return reason
