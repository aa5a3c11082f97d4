"""Where Kafka is and as whom it is asked: what every client of it is made with; and what it refuses, in words."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from faststream.security import BaseSecurity, SASLScram512
from pydantic import SecretStr
from sojourn_contracts.connection import ENCRYPTED, SIGNS_IN, Protocol, connection

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
    password: SecretStr | Path | None = None
    """Or the file that holds it."""
    ca_file: Path | None = None
    """Of the certificates that the brokers' are signed with; None for those that the machine trusts."""
    certificate_file: Path | None = None
    """Our own, with its key in ``key_file``, for brokers that ask for one."""
    key_file: Path | None = None

    def client(self) -> dict[str, Any]:
        """For each client of aiokafka, as keyword arguments."""
        password = self.password.get_secret_value() if isinstance(self.password, SecretStr) else self.password
        return connection(
            self.servers, self.protocol, self.username, password, self.ca_file, self.certificate_file, self.key_file
        )

    def security(self) -> BaseSecurity:
        """The same for FastStream."""
        client, encrypted = self.client(), self.protocol in ENCRYPTED
        context = client.get("ssl_context")
        if self.protocol in SIGNS_IN:
            return SASLScram512(client["sasl_plain_username"], client["sasl_plain_password"], context, encrypted)
        return BaseSecurity(context, encrypted)

    async def admit(self, topics: Collection[str]) -> None:
        """Asks whether these topics may be known of: aiokafka waits in vain for one that may not, where it is in no group.

        Raises:
            TopicAuthorizationFailedError: it names those that may not.
        """
        if self.protocol == "PLAINTEXT":
            return
        told = await self._described(topics)
        if refused := {each["topic"] for each in told if for_code(each["error_code"]) is TopicAuthorizationFailedError}:
            raise TopicAuthorizationFailedError(refused)

    async def partitions(self, topics: Collection[str]) -> list[TopicPartition]:
        """Those that these topics have at the broker, which may be more than the catalogue says.

        Raises:
            KafkaError: one of the topics is not there, or may not be known of.
        """
        if not topics:
            return []
        told = await self._described(topics)
        for each in told:
            if each["error_code"]:
                raise for_code(each["error_code"])(each["topic"])
        return sorted(TopicPartition(each["topic"], part["partition"]) for each in told for part in each["partitions"])

    async def _described(self, topics: Collection[str]) -> list[dict[str, Any]]:
        admin = AIOKafkaAdminClient(**self.client())
        try:
            await admin.start()
            return await admin.describe_topics(list(topics))
        finally:
            await admin.close()

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
