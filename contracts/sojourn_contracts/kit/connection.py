"""How the commands reach the brokers, and sign in there: by options, or by the variables that our services take, too."""

import ssl
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Protocol = Annotated[
    Literal["PLAINTEXT", "SASL_PLAINTEXT", "SASL_SSL"],
    typer.Option("--security-protocol", envvar="KAFKA_SECURITY_PROTOCOL"),
]
Username = Annotated[str | None, typer.Option(envvar="KAFKA_USERNAME", help="by SCRAM-SHA-512")]
Password = Annotated[str | None, typer.Option(envvar="KAFKA_PASSWORD", show_envvar=True)]
CaFile = Annotated[
    Path | None, typer.Option(envvar="KAFKA_CA_FILE", help="certificates that Kafka's are signed with, for SASL_SSL")
]


def connection(
    servers: str, protocol: str, username: str | None, password: str | None, ca_file: Path | None
) -> dict[str, Any]:
    """Aiokafka's settings, of whatever kind of client.

    Raises:
        OSError: the certificates cannot be read.
    """
    settings: dict[str, Any] = {"bootstrap_servers": servers, "security_protocol": protocol}
    if protocol != "PLAINTEXT":
        settings |= {
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": username,
            "sasl_plain_password": password,
        }
    if protocol == "SASL_SSL":
        settings["ssl_context"] = ssl.create_default_context(cafile=ca_file)
    return settings
