"""Settings come from the environment: typed, documented by ``--help``, and wrong ones are all named in one go.

A value is never repeated in an error or in a representation: URLs carry passwords.
"""

import re
import ssl
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict
from sojourn_contracts.connection import ENCRYPTED, SIGNS_IN, Protocol, Trust

from chassis import manifest_keys
from chassis.brokers import Brokers

_BROKER = re.compile(r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$")


def _postgres_url(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("should begin with postgresql://")
    return url


def _kafka_servers(servers: str) -> str:
    if not all(_BROKER.match(server.strip()) for server in servers.split(",")):
        raise ValueError("should be host:port, several separated by commas")
    return servers


def keys_location(location: str) -> str:
    if "://" in location and not location.startswith(("http://", "https://")):
        raise ValueError("should be a file's path, or a URL that begins with http:// or https://")
    return location


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ValueError("there is no such file")
    return path


def _networks(text: str) -> str:
    try:
        for part in text.split(","):
            ip_network(part.strip(), strict=False)
    except ValueError:
        raise ValueError(
            "should be addresses or networks, several separated by commas; * would believe anybody"
        ) from None
    return text


def _certificates(path: Path) -> Path:
    try:
        ssl.create_default_context(cafile=_existing(path))
    except ssl.SSLError:
        raise ValueError("should be a file with certificates, in PEM") from None
    return path


def _manifest_keys(path: Path) -> Path:
    """What cannot sign is found at the start, not after the first hour."""
    manifest_keys.read(path)
    return path


PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres_url)]
PasswordFile = Annotated[Path, AfterValidator(_existing)]
Proxies = Annotated[
    str,
    AfterValidator(_networks),
    Field(
        description="proxies that are believed about whom they ask for: addresses and networks, several separated by commas"
    ),
]
ONLY_TOLD: JsonDict = {"only_told": True}
"""Of a field with an address that is told to others (``json_schema_extra``): the process itself never connects to it."""
LogFormat = Literal["json", "console", "auto"]
LogLevel = Literal["debug", "info", "warning", "error"]


_SAMPLERS = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)
_HEADER = r"\s*[!#-'*+.0-9A-Z^-z|~-]+\s*=[ !#-+.-:<-\[\]-~-]*"
_HEADERS = re.compile(rf"{_HEADER}(,{_HEADER})*,?")
"""What the SDK can read: what it cannot, it would write to the log."""
_ATTRIBUTES = re.compile(r"[^,=]+=[^,]*(,[^,=]+=[^,]*)*,?")


def _is_http(url: str) -> bool:
    return re.match(r"https?://[^/\s]", url) is not None


def _are_headers(text: str) -> bool:
    return _HEADERS.fullmatch(text) is not None


def _are_attributes(text: str) -> bool:
    return _ATTRIBUTES.fullmatch(text) is not None


def _is_share(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


_STANDARD: dict[str, tuple[Callable[[str], bool], str]] = {
    "otel_exporter_otlp_endpoint": (_is_http, "a URL that begins with http:// or https://"),
    "otel_exporter_otlp_traces_endpoint": (_is_http, "a URL that begins with http:// or https://"),
    "otel_exporter_otlp_traces_protocol": ("http/protobuf".__eq__, "http/protobuf"),
    "otel_exporter_otlp_protocol": ("http/protobuf".__eq__, "http/protobuf"),
    "otel_exporter_otlp_headers": (_are_headers, "name=value, several separated by commas"),
    "otel_exporter_otlp_traces_headers": (_are_headers, "name=value, several separated by commas"),
    "otel_resource_attributes": (_are_attributes, "key=value, several separated by commas"),
    "otel_traces_sampler": (lambda name: name.lower() in _SAMPLERS, "one of " + ", ".join(_SAMPLERS)),
    "otel_traces_sampler_arg": (_is_share, "a number from 0 to 1"),
}


class LogSettings(BaseSettings):
    """What even the smallest command takes from the environment."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True)

    log_format: LogFormat = Field(
        default="auto", description="json, console, or auto: readable on a terminal, else JSON"
    )
    log_level: LogLevel = Field(default="info", description="the least severe level that is written")


class TraceSettings(LogSettings):
    """OpenTelemetry's own variables. Its SDK reads them by itself; here they are documented and, while it is on, checked."""

    otel_sdk_disabled: str = Field(default="false", description="true switches traces off, whatever else is set")
    otel_traces_exporter: Literal["none", "console", "otlp"] = Field(
        default="none", description="where traces go: none, console (standard output), otlp (a collector)"
    )
    otel_exporter_otlp_endpoint: SecretStr | None = Field(
        default=None, description="the collector's URL, to which /v1/traces is added; unset, http://localhost:4318"
    )
    otel_exporter_otlp_traces_endpoint: SecretStr | None = Field(
        default=None, description="the same for traces alone, taken as it is"
    )
    otel_exporter_otlp_traces_protocol: str | None = Field(
        default=None, description="http/protobuf is the only one here"
    )
    otel_exporter_otlp_protocol: str = Field(default="http/protobuf", description="the same for all signals")
    otel_exporter_otlp_headers: SecretStr | None = Field(
        default=None, description="headers for the collector: name=value, several separated by commas"
    )
    otel_exporter_otlp_traces_headers: SecretStr | None = Field(default=None, description="the same for traces alone")
    otel_service_name: str | None = Field(default=None, description="service.name; unset, the service's own name")
    otel_resource_attributes: str | None = Field(
        default=None, description="what else is told about the process: key=value, several separated by commas"
    )
    otel_traces_sampler: str | None = Field(
        default=None, description=f"which traces are kept; unset, parentbased_always_on. One of {', '.join(_SAMPLERS)}"
    )
    otel_traces_sampler_arg: str | None = Field(
        default=None, description="the share that traceidratio keeps, from 0 to 1"
    )

    @property
    def traced(self) -> bool:
        """Whether spans are to be recorded."""
        return self.otel_traces_exporter != "none" and self.otel_sdk_disabled.strip().lower() != "true"

    @field_validator(*_STANDARD)
    @classmethod
    def _sound(cls, value: Any, info: ValidationInfo) -> Any:
        """Somebody may have set these for other programs: what is not used here is not looked at."""
        said = info.data
        if value is None or said.get("otel_traces_exporter", "none") == "none":
            return value
        if info.field_name == "otel_exporter_otlp_protocol" and said.get("otel_exporter_otlp_traces_protocol"):
            return value
        fits, should = _STANDARD[str(info.field_name)]
        if not fits(value.get_secret_value() if isinstance(value, SecretStr) else value):
            raise ValueError(f"should be {should}")
        return value


class MigrateSettings(LogSettings):
    """What ``migrate`` needs: no more than the database, since it runs as a job of its own."""

    migrator_database_url: PostgresUrl = Field(description="PostgreSQL as the role that owns the schemas; for migrate")
    migrator_database_password_file: PasswordFile | None = Field(
        default=None, description="the file that holds this role's password; unset, the URL's"
    )


class KafkaSettings(LogSettings):
    """What reaching Kafka takes."""

    kafka_bootstrap_servers: Annotated[str, AfterValidator(_kafka_servers)] = Field(
        description="Kafka brokers to begin with: host:port, several separated by commas"
    )
    kafka_username: str | None = Field(
        default=None, description="who we are at Kafka, by SCRAM-SHA-512; unset, it does not ask"
    )
    kafka_password: SecretStr | None = Field(default=None, description="the password for it")
    kafka_password_file: PasswordFile | None = Field(
        default=None, description="or the file that holds it, read again for each connection"
    )
    kafka_ca_file: Annotated[Path, AfterValidator(_certificates)] | None = Field(
        default=None,
        description="certificates (PEM) that Kafka's are signed with, for SSL and SASL_SSL, read again for each connection;"
        " unset, those the machine trusts",
    )
    kafka_certificate_file: Annotated[Path, AfterValidator(_existing)] | None = Field(
        default=None, description="our own certificate (PEM), for a Kafka that asks for one; read again, too"
    )
    kafka_key_file: Annotated[Path, AfterValidator(_existing)] | None = Field(
        default=None, description="the key for it (PEM)"
    )
    # After all that goes with it.
    kafka_security_protocol: Protocol = Field(
        default="PLAINTEXT",
        validate_default=True,
        description="PLAINTEXT, SASL_PLAINTEXT (signs in), SSL (encrypted) or SASL_SSL (both)",
    )

    @field_validator("kafka_security_protocol")
    @classmethod
    def _complete(cls, protocol: Protocol, info: ValidationInfo) -> Protocol:
        given = {name for name in _OF_SIGNING_IN | _OF_ENCRYPTION if info.data.get(name) is not None}
        used = (_OF_SIGNING_IN if protocol in SIGNS_IN else set[str]()) | (
            _OF_ENCRYPTION if protocol in ENCRYPTED else set[str]()
        )
        if idle := [name.upper() for name in sorted(given - used, reverse=True)]:
            raise ValueError(f"is {protocol}, which makes no use of {', '.join(idle)}")
        no_file = info.data.get("kafka_password_file", "a wrong one is told already") is None
        either = "kafka_password" if no_file else "kafka_password_file"
        needed = ["kafka_username", either] if protocol in SIGNS_IN else []
        needed += ["kafka_certificate_file", "kafka_key_file"] if given & _OF_OURSELVES else []
        if missing := [name.upper() for name in needed if name in info.data and name not in given]:
            raise ValueError(f"should have with it {', '.join(missing)}")
        if {"kafka_password", "kafka_password_file"} <= given:
            raise ValueError("should have either KAFKA_PASSWORD or KAFKA_PASSWORD_FILE")
        if given & _OF_OURSELVES and given >= _OF_OURSELVES:
            try:
                Trust.of(
                    *(info.data.get(name) for name in ("kafka_ca_file", "kafka_certificate_file", "kafka_key_file"))
                )
            except OSError:
                raise ValueError("has KAFKA_CERTIFICATE_FILE and KAFKA_KEY_FILE that do not go together") from None
        return protocol

    @property
    def brokers(self) -> Brokers:
        """Where Kafka is and as whom it is asked."""
        return Brokers(
            self.kafka_bootstrap_servers,
            self.kafka_security_protocol,
            self.kafka_username,
            self.kafka_password_file or self.kafka_password,
            self.kafka_ca_file,
            self.kafka_certificate_file,
            self.kafka_key_file,
        )


_OF_SIGNING_IN = {"kafka_username", "kafka_password", "kafka_password_file"}
_OF_OURSELVES = {"kafka_certificate_file", "kafka_key_file"}
_OF_ENCRYPTION = {"kafka_ca_file", *_OF_OURSELVES}


class Settings(TraceSettings, KafkaSettings):
    """What every serving process takes from the environment; a service adds its own fields in a subclass."""

    database_url: PostgresUrl = Field(
        description="PostgreSQL as this service's role: postgresql://role:password@host/db"
    )
    listen_database_url: PostgresUrl | None = Field(
        default=None,
        description="the same without a pooler, where DATABASE_URL leads to one: a pooler that shares connections loses what is"
        " notified; unset, DATABASE_URL",
    )
    statement_cache_size: int = Field(
        default=100,
        ge=0,
        le=10_000,
        description="prepared statements kept on each connection; 0 behind a PgBouncer before 1.21, or whose"
        " max_prepared_statements is 0",
    )
    database_password_file: PasswordFile | None = Field(
        default=None,
        description="the file that holds the role's password, read again for each connection; unset, the URL's",
    )
    pool_size: int = Field(default=10, ge=2, le=200, description="connections to PostgreSQL at most, per process")

    group_session_timeout_ms: int = Field(
        default=10_000,
        ge=500,
        le=300_000,
        description="a member of the consumer group that is silent this long is replaced",
    )
    relay_batch: int = Field(
        default=2_000, ge=1, le=20_000, description="events published in one Kafka transaction at most"
    )
    lease_seconds: float = Field(
        default=5, ge=0.5, le=60, description="a leader that does not renew its lease for this long is replaced"
    )
    retention_days: int = Field(
        default=30, ge=30, le=365, description="how long handled event ids and answers to idempotency keys are kept"
    )

    dead_letter_days: int = Field(
        default=90,
        ge=1,
        le=3_653,
        description="how long dead letters are kept, whether an operator has settled them or not",
    )

    http_host: str = Field(default="127.0.0.1", description="address that HTTP listens on; 0.0.0.0 in a container")
    http_port: int = Field(default=8000, ge=0, le=65_535, description="port that HTTP listens on; 0 takes a free one")
    requests_per_client: int = Field(
        default=6_000, ge=1, description="requests of one client in a minute, per process; then 429"
    )
    requests_at_once: int = Field(
        default=2_500,
        ge=1,
        description="requests in hand, those included that wait for events, per process; then 503. A tenth of them for one"
        " client, then 429",
    )
    forwarded_allow_ips: Proxies = "127.0.0.1"
    feed_listeners: int = Field(
        default=2_000,
        ge=1,
        le=20_000,
        validate_default=True,
        description="how many may follow the feed of events at once, per process; fewer than REQUESTS_AT_ONCE",
    )
    jwks: Annotated[str, AfterValidator(keys_location)] = Field(
        description="public keys that tokens are verified with: a JWKS file's path, or its http(s) URL"
    )
    manifest_key: Annotated[Path, AfterValidator(_manifest_keys)] | None = Field(
        default=None,
        description="file with the private key that manifests are signed with (a JWK, Ed25519), or with a set of keys: the first"
        " signs, former ones are told; without it, no manifests",
    )
    clock_file: Annotated[Path, AfterValidator(_existing)] | None = Field(
        default=None, description="file with the programme's time in a replay; without it, the time of day"
    )

    @field_validator("feed_listeners")
    @classmethod
    def _leave_room_for_others(cls, listeners: int, info: ValidationInfo) -> int:
        return leave_room(listeners, info)


def leave_room(listeners: int, info: ValidationInfo) -> int:
    """Raises ValueError where those who listen, each a request in hand, would be all that there may be."""
    at_once = info.data.get("requests_at_once")
    all_of_them = listeners + info.data.get("feed_listeners", 0)
    if at_once is not None and all_of_them >= at_once:
        raise ValueError(f"should be lower, or REQUESTS_AT_ONCE above {all_of_them}: who listens is a request in hand")
    return listeners


AnySettings = TypeVar("AnySettings", bound=LogSettings)


class SettingsError(Exception):
    """The environment does not make valid settings; the text has one line per variable, without its value."""

    exit_code = 2

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        """``errors``: each variable with what is wrong about it."""
        lines = [f"  {variable}: {reason}" for variable, reason in errors]
        super().__init__("\n".join(["The environment is not complete or not valid:", *lines]))
        self.errors = errors


def load(cls: type[AnySettings]) -> AnySettings:
    """Reads the settings from the environment.

    Raises:
        SettingsError: variables are missing or wrong, all of them named.
    """
    try:
        return cls()
    except ValidationError as error:
        errors = [
            (_variable(cls, str(entry["loc"][0])), _reason(entry["type"], entry["msg"]))
            for entry in error.errors(include_url=False, include_input=False)
        ]
        # Not chained: pydantic's own text is noise here, and a subclass may forget to hide its inputs.
        raise SettingsError(errors) from None


def describe(cls: type[LogSettings]) -> str:
    """A table of the variables, for ``--help``: our own first, then the standard's, which are longer."""
    standard = [name for name in cls.model_fields if name.startswith("otel_")]
    return "\n".join(_rows(cls, [name for name in cls.model_fields if name not in standard]) + _rows(cls, standard))


def _rows(cls: type[LogSettings], names: Sequence[str]) -> list[str]:
    rows = [
        (_variable(cls, name), "required" if field.is_required() else _default(field), field.description or "")
        for name in names
        for field in (cls.model_fields[name],)
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    return [f"{name:<{widths[0]}}  {default:<{widths[1]}}  {text}" for name, default, text in rows]


def _variable(cls: type[LogSettings], name: str) -> str:
    field = cls.model_fields.get(name)
    alias = field.validation_alias if field else None
    return (alias if isinstance(alias, str) else name).upper()


def _default(field: FieldInfo) -> str:
    secret = SecretStr in get_args(field.annotation) or field.annotation is SecretStr
    return "" if field.default is None or field.default_factory or secret else str(field.default)


def _reason(kind: str, message: str) -> str:
    if kind == "missing":
        return "is required"
    return message.removeprefix("Value error, ").removeprefix("Input ")
