"""How a client reaches Kafka, and as whom: aiokafka's settings, whatever kind of client it is.

What is read of files is read again for each connection that is made: who replaces a certificate, the authorities' or one's own,
or a password, restarts nothing.
"""

import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
"""As Kafka names them: encrypted or not, and signing in by SCRAM-SHA-512 or not."""
SIGNS_IN = ("SASL_PLAINTEXT", "SASL_SSL")
ENCRYPTED = ("SSL", "SASL_SSL")


def connection(
    servers: str,
    protocol: Protocol = "PLAINTEXT",
    username: str | None = None,
    password: str | Path | None = None,
    ca_file: Path | None = None,
    certificate_file: Path | None = None,
    key_file: Path | None = None,
) -> dict[str, Any]:
    """The settings as keyword arguments.

    A ``password`` may be the path of the file that holds it. ``ca_file``: of the certificates that the brokers' are signed with;
    None for those that the machine trusts. ``certificate_file``, ``key_file``: our own, for brokers that ask for one.

    Raises:
        OSError: the certificates cannot be read.
    """
    settings: dict[str, Any] = {"bootstrap_servers": servers, "security_protocol": protocol}
    if protocol in SIGNS_IN:
        settings |= {
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": username,
            "sasl_plain_password": _Kept(password) if isinstance(password, Path) else password,
        }
    if protocol in ENCRYPTED:
        settings["ssl_context"] = Trust.of(ca_file, certificate_file, key_file)
    return settings


class Trust(ssl.SSLContext):
    """Whom a client trusts and who it is itself, as the files say when it connects.

    A context reads its files once, and aiokafka keeps it as long as the client lives: from the day on that the authority is
    another, such a client would never get through again. This one stands for a new context at each handshake.
    """

    _files: tuple[Path | None, Path | None, Path | None]

    @classmethod
    def of(cls, ca_file: Path | None, certificate_file: Path | None = None, key_file: Path | None = None) -> "Trust":
        """Raises OSError (``ssl.SSLError`` is one) when the files cannot be read now."""
        trust = cls(ssl.PROTOCOL_TLS_CLIENT)
        trust._files = (ca_file, certificate_file, key_file)
        trust._now()
        return trust

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """What asyncio and uvloop call for each connection."""
        return self._now().wrap_bio(*args, **kwargs)

    def _now(self) -> ssl.SSLContext:
        ca_file, certificate_file, key_file = self._files
        context = ssl.create_default_context(cafile=ca_file)
        if certificate_file is not None:
            context.load_cert_chain(certificate_file, key_file)
        context.sslobject_class = _Parting
        return context


class _Parting(ssl.SSLObject):
    """Says that it goes, and does not wait until the other side has said so, too.

    A broker does not always, and aiokafka waits for it when a client is closed: for 30 s, after which the connection is cut off.
    """

    def unwrap(self) -> None:
        """What asyncio and uvloop call to close a connection, once all is written."""
        with suppress(ssl.SSLWantReadError):
            super().unwrap()


class _Kept(str):
    """The password in a file: aiokafka encodes it anew each time that it signs in."""

    _file: Path

    def __new__(cls, file: Path) -> "_Kept":
        kept = super().__new__(cls, f"the password in {file}")
        kept._file = file
        return kept

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """What the file holds now, without white space around it."""
        return self._file.read_text().strip().encode(encoding, errors)
