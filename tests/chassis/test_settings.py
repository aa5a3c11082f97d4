"""Settings: a wrong environment is told whole, and no secret is."""

import ssl
from pathlib import Path

import certifi
import pytest
import survey.settings
from chassis.settings import MigrateSettings, Settings, SettingsError, describe, load
from faststream.security import SASLScram512
from pydantic import Field

GOOD = {
    "DATABASE_URL": "postgresql://registration:hunter2@db/sojourn",
    "KAFKA_BOOTSTRAP_SERVERS": "kafka-0:9092,kafka-1:9092",
    "JWKS": "/etc/sojourn/jwks.json",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)

    def set_to(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_to


class SurveySettings(Settings):
    closes_after_days: int = Field(default=30, ge=1, description="days that an invitation is open")


def test_every_missing_or_wrong_variable_is_named_in_one_error(environment):
    environment(
        KAFKA_BOOTSTRAP_SERVERS="kafka", HTTP_PORT="99999", LOG_FORMAT="xml", POOL_SIZE="ten", JWKS="ftp://x",
        CLOCK_FILE="/nowhere/clock", DATABASE_URL="mysql://x",
    )  # fmt: skip
    with pytest.raises(SettingsError) as failed:
        load(Settings)
    lines = dict(line.strip().split(": ", 1) for line in str(failed.value).splitlines()[1:])
    assert lines == {
        "DATABASE_URL": "should begin with postgresql://",
        "KAFKA_BOOTSTRAP_SERVERS": "should be host:port, several separated by commas",
        "HTTP_PORT": "should be less than or equal to 65535",
        "LOG_FORMAT": "should be 'json', 'console' or 'auto'",
        "POOL_SIZE": "should be a valid integer, unable to parse string as an integer",
        "JWKS": "should be a file's path, or a URL that begins with http:// or https://",
        "CLOCK_FILE": "there is no such file",
    }
    assert failed.value.exit_code == 2


def test_an_empty_variable_counts_as_missing(environment):
    environment(**GOOD | {"JWKS": ""})
    with pytest.raises(SettingsError, match="JWKS: is required"):
        load(Settings)


def test_a_password_is_neither_in_errors_nor_in_representations(environment):
    environment(**GOOD)
    settings = load(Settings)
    assert settings.database_url.get_secret_value() == GOOD["DATABASE_URL"]
    for shown in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())):
        assert "hunter2" not in shown
    environment(DATABASE_URL="mysql://registration:hunter2@db/sojourn")
    with pytest.raises(SettingsError) as failed:
        load(Settings)
    assert "hunter2" not in f"{failed.value!r} {failed.value} {failed.value.__cause__!r}"


def test_an_exporter_of_traces_that_nobody_knows_is_named(environment):
    environment(**GOOD, OTEL_TRACES_EXPORTER="zipkin")
    with pytest.raises(SettingsError, match="OTEL_TRACES_EXPORTER: should be 'none', 'console' or 'otlp'"):
        load(Settings)


WRONG_FOR_TRACES = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "collector:hunter2",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "grpc://collector",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    "OTEL_EXPORTER_OTLP_HEADERS": "hunter2",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS": 'api-key="hunter2"',
    "OTEL_RESOURCE_ATTRIBUTES": "hunter2",
    "OTEL_TRACES_SAMPLER": "sometimes",
    "OTEL_TRACES_SAMPLER_ARG": "2",
}


def test_what_is_wrong_for_the_exporter_is_named_without_its_value(environment):
    environment(**GOOD, **WRONG_FOR_TRACES, OTEL_TRACES_EXPORTER="otlp")
    with pytest.raises(SettingsError) as failed:
        load(Settings)
    told = str(failed.value)
    assert {line.strip().split(": ")[0] for line in told.splitlines()[1:]} == WRONG_FOR_TRACES.keys()
    assert "hunter2" not in told


def test_what_others_need_for_traces_is_no_fault_while_they_are_off(environment):
    environment(**GOOD, **WRONG_FOR_TRACES)
    assert not load(Settings).traced


def test_what_is_right_for_the_exporter_is_taken(environment):
    environment(
        **GOOD, OTEL_TRACES_EXPORTER="otlp", OTEL_EXPORTER_OTLP_ENDPOINT="https://user:hunter2@collector:4318/",
        OTEL_EXPORTER_OTLP_HEADERS="api-key=a%20b=, x-tenant=sojourn", OTEL_RESOURCE_ATTRIBUTES="a.b=c,d=é",
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc", OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="http/protobuf",
        OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG="0.1", OTEL_SERVICE_NAME="x",
    )  # fmt: skip
    settings = load(Settings)
    assert settings.traced
    assert "hunter2" not in repr(settings)
    environment(OTEL_SDK_DISABLED="true")
    assert not load(Settings).traced


def test_those_who_listen_have_to_leave_room_for_other_requests(environment):
    environment(**GOOD, REQUESTS_AT_ONCE="2000")
    with pytest.raises(SettingsError) as failed:
        load(Settings)
    assert str(failed.value).splitlines()[1:] == [
        "  FEED_LISTENERS: should be lower, or REQUESTS_AT_ONCE above 2000: who listens is a request in hand"
    ]
    environment(FEED_LISTENERS="1950")
    assert load(Settings).feed_listeners == 1950
    with pytest.raises(SettingsError, match="LIVE_LISTENERS: should be lower, or REQUESTS_AT_ONCE above 2000"):
        load(survey.settings.SurveySettings)
    environment(LIVE_LISTENERS="49")
    assert load(survey.settings.SurveySettings).live_listeners == 49


def test_migrate_needs_no_more_than_the_database(environment):
    environment(MIGRATOR_DATABASE_URL="postgresql://migrator:hunter2@db/sojourn")
    assert load(MigrateSettings).migrator_database_url.get_secret_value().startswith("postgresql://migrator")


def test_help_describes_every_variable_of_a_service_with_its_default(environment):
    table = describe(SurveySettings)
    rows = {line.split()[0]: line for line in table.splitlines()}
    assert rows.keys() == {name.upper() for name in SurveySettings.model_fields}
    assert all(field.description and field.description in table for field in SurveySettings.model_fields.values())
    assert "required" in rows["DATABASE_URL"]
    assert "30" in rows["CLOSES_AFTER_DAYS"]


def test_a_clock_file_that_exists_is_taken(environment, tmp_path: Path):
    clock = tmp_path / "clock"
    clock.write_text("2027-01-01T00:00:00Z")
    environment(**GOOD, CLOCK_FILE=str(clock))
    assert load(Settings).clock_file == clock


SIGNS_IN = {"KAFKA_USERNAME": "survey", "KAFKA_PASSWORD": "hunter2"}


def test_a_client_of_kafka_signs_in_by_scram_and_encrypts_with_the_certificates_given(environment, tmp_path: Path):
    file = tmp_path / "ca.pem"
    file.write_text(Path(certifi.where()).read_text())
    encrypted = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_CA_FILE": str(file)}
    environment(**GOOD, **SIGNS_IN, **encrypted)
    brokers = load(Settings).brokers
    client, security = brokers.client(), brokers.security()
    assert {name: client[name] for name in client.keys() - {"ssl_context"}} == {
        "bootstrap_servers": GOOD["KAFKA_BOOTSTRAP_SERVERS"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "survey",
        "sasl_plain_password": "hunter2",
    }
    assert client["ssl_context"].verify_mode is ssl.CERT_REQUIRED
    assert client["ssl_context"].check_hostname
    assert isinstance(security, SASLScram512)
    assert (security.username, security.password, security.use_ssl) == ("survey", "hunter2", True)
    assert "hunter2" not in repr(brokers)


def test_a_client_of_kafka_does_not_sign_in_unless_it_is_told_to(environment):
    environment(**GOOD)
    brokers = load(Settings).brokers
    assert brokers.client() == {"bootstrap_servers": GOOD["KAFKA_BOOTSTRAP_SERVERS"], "security_protocol": "PLAINTEXT"}
    assert not brokers.security().use_ssl


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}, "should have with it KAFKA_USERNAME, KAFKA_PASSWORD"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_USERNAME": "x"}, "should have with it KAFKA_PASSWORD"),
        (SIGNS_IN, "is PLAINTEXT, which makes no use of KAFKA_USERNAME, KAFKA_PASSWORD"),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SSL", **SIGNS_IN},
            "is SSL, which makes no use of KAFKA_USERNAME, KAFKA_PASSWORD",
        ),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_KEY_FILE": __file__}, "should have with it KAFKA_CERTIFICATE_FILE"),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_KEY_FILE": __file__, "KAFKA_CERTIFICATE_FILE": __file__},
            "has KAFKA_CERTIFICATE_FILE and KAFKA_KEY_FILE that do not go together",
        ),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", **SIGNS_IN, "KAFKA_PASSWORD_FILE": __file__},
            "should have either KAFKA_PASSWORD or KAFKA_PASSWORD_FILE",
        ),
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "should be 'PLAINTEXT', 'SSL', 'SASL_PLAINTEXT' or 'SASL_SSL'"),
    ],
)
def test_half_a_sign_in_at_kafka_is_found_at_the_start(environment, given: dict[str, str], said: str):
    environment(**GOOD, **given)
    with pytest.raises(SettingsError) as failed:
        load(Settings)
    assert str(failed.value).splitlines()[1:] == [f"  KAFKA_SECURITY_PROTOCOL: {said}"]


def test_a_password_file_that_is_not_there_is_all_that_is_told(environment):
    environment(
        **GOOD, KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT", KAFKA_USERNAME="x", KAFKA_PASSWORD_FILE="/nowhere/password"
    )
    with pytest.raises(SettingsError) as failed:
        load(Settings)
    assert str(failed.value).splitlines()[1:] == ["  KAFKA_PASSWORD_FILE: there is no such file"]


def test_what_is_no_certificate_is_found_at_the_start(environment, tmp_path: Path):
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    environment(**GOOD, **SIGNS_IN, KAFKA_SECURITY_PROTOCOL="SASL_SSL", KAFKA_CA_FILE=str(file))
    with pytest.raises(SettingsError, match="KAFKA_CA_FILE: should be a file with certificates, in PEM"):
        load(Settings)
