"""Where Kafka is and as whom it is asked: what every client of it is made with; and what it refuses, in words."""

import ssl
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    for_code,
)
from faststream.security import SASLScram512
from pydantic import SecretStr

Protocol = Literal["PLAINTEXT", "SASL_PLAINTEXT", "SASL_SSL"]

_REFUSED: dict[type[KafkaError], str] = {
    TopicAuthorizationFailedError: "topic",
    GroupAuthorizationFailedError: "group",
    TransactionalIdAuthorizationFailed: "transactional id",
    ClusterAuthorizationFailedError: "cluster",
}


@dataclass(frozen=True)
class Brokers:
    """Brokers to begin with, and what this process signs in with, if they ask."""

    servers: str
    protocol: Protocol = "PLAINTEXT"
    username: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = None
    """Of the certificates that the brokers' are signed with; None for those that the machine trusts."""

    def client(self) -> dict[str, Any]:
        """For each client of aiokafka, as keyword arguments."""
        if self.password is None:
            return {"bootstrap_servers": self.servers}
        return {
            "bootstrap_servers": self.servers,
            "security_protocol": self.protocol,
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password.get_secret_value(),
            "ssl_context": self._encryption(),
        }

    def security(self) -> SASLScram512 | None:
        """The same for FastStream."""
        if self.username is None or self.password is None:
            return None
        encrypted = self.protocol == "SASL_SSL"
        return SASLScram512(self.username, self.password.get_secret_value(), self._encryption(), use_ssl=encrypted)

    def _encryption(self) -> ssl.SSLContext | None:
        return ssl.create_default_context(cafile=self.ca_file) if self.protocol == "SASL_SSL" else None

    async def admit(self, topics: Collection[str]) -> None:
        """Asks whether these topics may be known of: aiokafka waits in vain for one that may not, where it is in no group.

        Raises:
            TopicAuthorizationFailedError: it names those that may not.
        """
        if self.username is None:
            return
        admin = AIOKafkaAdminClient(**self.client())
        await admin.start()
        try:
            told = await admin.describe_topics(list(topics))
        finally:
            await admin.close()
        if refused := {each["topic"] for each in told if for_code(each["error_code"]) is TopicAuthorizationFailedError}:
            raise TopicAuthorizationFailedError(refused)

    async def partitions(self, topics: Collection[str]) -> list[TopicPartition]:
        """Those that these topics have at the broker, which may be more than the catalogue says.

        Raises:
            KafkaError: one of the topics is not there, or may not be known of.
        """
        if not topics:
            return []
        admin = AIOKafkaAdminClient(**self.client())
        await admin.start()
        try:
            told = await admin.describe_topics(list(topics))
        finally:
            await admin.close()
        for each in told:
            if each["error_code"]:
                raise for_code(each["error_code"])(each["topic"])
        return sorted(TopicPartition(each["topic"], part["partition"]) for each in told for part in each["partitions"])

    def refusal(self, error: BaseException | None) -> str | None:
        """What Kafka refuses, and whom: only somebody who grants it can help. None if the error is another."""
        while error is not None:  # aiokafka's tasks raise one of their own from it
            for refused, kind in _REFUSED.items():
                if isinstance(error, refused):
                    who = self.username or "whoever does not sign in"
                    return f"Kafka refuses {who} the {kind} {_named(error.args)}".rstrip()
            error = error.__cause__
        return None


def _named(said: Iterable[Any]) -> str:
    """What an error names: a resource, or several in a collection."""
    found = [each for part in said for each in ([part] if isinstance(part, str) else part)]
    return ", ".join(sorted(map(str, found)))
