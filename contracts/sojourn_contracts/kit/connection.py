"""How the commands reach the brokers, and sign in there: by options, or by the variables that our services take, too."""

from pathlib import Path
from typing import Annotated

import typer

from sojourn_contracts import connection

Protocol = Annotated[
    connection.Protocol,
    typer.Option("--security-protocol", envvar="KAFKA_SECURITY_PROTOCOL"),
]
Username = Annotated[str | None, typer.Option(envvar="KAFKA_USERNAME", help="by SCRAM-SHA-512")]
Password = Annotated[str | None, typer.Option(envvar="KAFKA_PASSWORD", show_envvar=True)]
CaFile = Annotated[
    Path | None, typer.Option(envvar="KAFKA_CA_FILE", help="certificates that Kafka's are signed with, if it encrypts")
]
