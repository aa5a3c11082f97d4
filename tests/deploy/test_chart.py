"""The Helm chart: what it renders for every profile and with every optional part holds the rules, and each rule can fail."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from os import environ
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import yaml
from chassis.migrations import migrate
from chassis.settings import MigrateSettings, Settings
from exchange.main import service as exchange
from laptop.postgres import Postgres
from laptop.roles import Database
from laptop.topics import wanted
from pydantic import ValidationError
from sojourn_contracts.access import acls
from sojourn_contracts.grants import Grants
from survey.main import service as survey

from deploy.helm import written
from deploy.helm.written import CHART
from tests.conftest import REPOSITORY
from tests.deploy.encrypting import Authority
from tests.deploy.rendered import (
    NAMESPACE,
    RULES,
    Document,
    component,
    documents,
    helm,
    named,
    of_kind,
    options,
    rendered,
    running,
    template,
    tool,
)

PROFILES = ("laptop", "small", "production", "backing")
ALERT = {
    "alert": "Example",
    "expr": "up == 0",
    "labels": {"severity": "page"},
    "annotations": {"summary": "{{ $labels.job }}"},
}
SECRET = {
    "sojourn-postgres-survey": {"type": "kubernetes.io/basic-auth", "keys": {"password": {"key": "sojourn/survey"}}}
}
HPA = {"kind": "hpa", "maxReplicas": 40}
INGRESS = {"exposure.kind": "Ingress", "survey.hosts": ["s.example"]}
ROUTE = INGRESS | {"exposure.kind": "HTTPRoute", "exposure.parentRefs": [{"name": "public"}]}
PROXIES = {"exposure.proxies": ["192.0.2.0/24", "2001:db8::7"]}
ALONE = {"matching.settings.JWKS": "https://keys.example/jwks.json"} | {
    f"{name}.enabled": False for name in ("registration", "exchange", "survey", "surveySink", "surveyEvaluation")
}
VARIANTS: dict[str, tuple[tuple[str, ...], Document]] = {
    "as it is": ((), {}),
    **{profile: ((profile,), {}) for profile in PROFILES},
    "keda, without signing in": (("laptop",), {"registration.autoscaling": {"kind": "keda"}}),
    "hpa": ((), {"exchange.autoscaling": HPA, "surveyFiles.autoscaling": HPA, "surveyFiles.enabled": True}),
    "ServiceMonitor": ((), {"monitoring.monitor": "ServiceMonitor", "monitoring.monitorSpec": {"sampleLimit": 5000}}),
    "PodMonitor": ((), {"monitoring.monitor": "PodMonitor", "monitoring.labels": {"release": "prometheus"}}),
    "rules and dashboards": ((), {"monitoring.rules.enabled": True, "monitoring.dashboards.enabled": True}),
    "HTTPRoute": ((), ROUTE | PROXIES),
    "Ingress": ((), INGRESS | PROXIES | {"exposure.ingressClassName": "nginx"}),
    "who is believed, as a setting": ((), INGRESS | {"survey.settings": {"FORWARDED_ALLOW_IPS": "192.0.2.7"}}),
    "known by certificates": (("production",), {"kafka.securityProtocol": "SSL", "strimzi.users.enabled": True}),
    "nothing to trust but the image's": ((), {"kafka.caSecret": "", "postgres.caSecret": ""}),
    "past a pooler": ((), {"postgres.host": "pgbouncer", "postgres.port": 6432, "postgres.direct.host": "primary"}),
    "topics": ((), {"strimzi.topics.enabled": True, "strimzi.namespace": NAMESPACE}),
    "users": ((), {"strimzi.users.enabled": True, "strimzi.users.spec": {"quotas": {"producerByteRate": 1048576}}}),
    "PostgreSQL": (("backing",), {"cloudNativePg.spec": {"logLevel": "debug"}, "cloudNativePg.storage.storageClass": "fast"}),
    "external Secrets": (("backing",), {"externalSecrets.enabled": True, "externalSecrets.secrets": SECRET}),
    "on a claim": ((), {"warehouse": {"location": "/data", "existingClaim": "warehouse"}, "surveyFiles.enabled": True}),
    "no policies": ((), {"networkPolicy.enabled": False}),
    "no migrations": ((), {"migrations.enabled": False}),
    "no doctor": ((), {"doctor.enabled": False}),
    "no evaluation": ((), {"surveyEvaluation.enabled": False, "surveySink.enabled": False}),
    "one service alone": ((), ALONE),
    "its own accounts and images": (
        (),
        {
            "survey.serviceAccount.name": "theirs",
            "image.digests": {"survey": "sha256:" + "0" * 64},
            "image.pullSecrets": ["registry"],
            "defaults.podLabels": {"team": "a"},
            "defaults.podAnnotations": {"note": "b"},
            "defaults.podSpec": {"priorityClassName": "high", "nodeSelector": {"pool": "a"}},
            "commonLabels": {"cost": "c"},
        },
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart with an alert and a dashboard, whatever deploy/monitoring holds."""
    copy = tmp_path_factory.mktemp("chart") / "sojourn"
    shutil.copytree(CHART, copy)
    (copy / "files" / "alerts" / "example.yaml").write_text(
        yaml.safe_dump({"groups": [{"name": "g", "rules": [ALERT]}]})
    )
    (copy / "files" / "dashboards" / "example.json").write_text('{"title": "{{ not a template }}"}\n')
    return copy


@pytest.fixture(scope="module")
def all_rendered(chart: Path) -> dict[str, list[Document]]:
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda variant: rendered(variant[1], *variant[0], chart=chart), VARIANTS.values())
        return dict(zip(VARIANTS, found, strict=True))


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_rendered_holds_every_rule(all_rendered: dict[str, list[Document]], variant: str):
    assert all_rendered[variant]
    assert [f"{name}: {wrong}" for name, rule in RULES.items() for wrong in rule(all_rendered[variant])] == []


@pytest.mark.parametrize("profile", PROFILES)
def test_helm_lints_every_profile_strictly(profile: str):
    helm("lint", "--strict", *options({}, profile))


def test_every_variant_would_be_taken_by_a_cluster(all_rendered: dict[str, list[Document]], tmp_path: Path):
    """Strictly, custom resources included; a variant is a namespace, or they would be each other's duplicates."""
    validate = tool("validate-manifests")
    files = []
    for number, found in enumerate(all_rendered.values()):
        text = yaml.dump_all(found, Dumper=yaml.CSafeDumper)
        files.append(tmp_path / f"{number}.yaml")
        files[-1].write_text(text.replace(f"namespace: {NAMESPACE}\n", f"namespace: {NAMESPACE}-{number}\n"))
    path = f"{REPOSITORY / '.tools' / 'bin'}:{environ['PATH']}"
    done = subprocess.run(
        [validate, "--restricted", "--probes", "startup,readiness,liveness", *files],
        capture_output=True, text=True, timeout=120, env=environ | {"PATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


# ---------------------------------------------------------------- each rule can fail


def one(found: list[Document], name: str) -> Document:
    (document,) = [document for document in found if named(document) == name]
    return document


def container(document: Document) -> Document:
    return template(document)["spec"]["containers"][0]


def without(found: list[Document], name: str) -> None:
    found.remove(one(found, name))


def egress(found: list[Document], process: str) -> list[Document]:
    return one(found, f"NetworkPolicy/sojourn-{process}")["spec"]["egress"]


def route(found: list[Document]) -> Document:
    return one(found, "HTTPRoute/sojourn-survey")["spec"]["rules"][0]


def spread(found: list[Document]) -> Document:
    return template(one(found, DEPLOYMENT))["spec"]["topologySpreadConstraints"][0]


OTHER = {"matchLabels": {"app.kubernetes.io/name": "another"}}
Break = Callable[[list[Document]], Any]
DEPLOYMENT, JOB = "Deployment/sojourn-exchange", "Job/sojourn-migration-survey"
DOCTOR = "Job/sojourn-survey-doctor"
BREAKS: list[tuple[str, str, Break]] = [
    ("security", "not root", lambda f: template(one(f, DEPLOYMENT))["spec"]["securityContext"].pop("runAsNonRoot")),
    ("security", "seccomp", lambda f: template(one(f, JOB))["spec"]["securityContext"].pop("seccompProfile")),
    ("security", "capabilities", lambda f: container(one(f, DEPLOYMENT))["securityContext"].pop("capabilities")),
    ("security", "read-only root", lambda f: container(one(f, JOB))["securityContext"].update(readOnlyRootFilesystem=False)),
    ("security", "escalation", lambda f: container(one(f, JOB))["securityContext"].pop("allowPrivilegeEscalation")),
    ("security", "token", lambda f: template(one(f, DEPLOYMENT))["spec"].pop("automountServiceAccountToken")),
    ("security", "token", lambda f: one(f, "ServiceAccount/sojourn-exchange").pop("automountServiceAccountToken")),
    ("security", "links", lambda f: template(one(f, DEPLOYMENT))["spec"].pop("enableServiceLinks")),
    ("security", "host", lambda f: template(one(f, DEPLOYMENT))["spec"].update(hostNetwork=True)),
    ("security", "volumes", lambda f: template(one(f, DEPLOYMENT))["spec"]["volumes"].append({"name": "x", "hostPath": {}})),
    ("probes", "startup", lambda f: container(one(f, DEPLOYMENT)).pop("startupProbe")),
    ("probes", "liveness", lambda f: container(one(f, DEPLOYMENT))["livenessProbe"]["httpGet"].update(path="/ready")),
    ("probes", "killed", lambda f: template(one(f, DEPLOYMENT))["spec"].update(terminationGracePeriodSeconds=10)),
    ("probes", "fewer", lambda f: one(f, DEPLOYMENT)["spec"]["strategy"]["rollingUpdate"].update(maxUnavailable=1)),
    ("resources", "limits", lambda f: container(one(f, DEPLOYMENT))["resources"]["limits"].update(cpu="1")),
    ("resources", "cpu", lambda f: container(one(f, JOB))["resources"]["requests"].pop("memory")),
    ("whole", "null", lambda f: template(one(f, DEPLOYMENT))["metadata"].update(annotations=None)),
    ("whole", "namespace", lambda f: one(f, "Service/sojourn-survey")["metadata"].pop("namespace")),
    ("whole", "labels", lambda f: one(f, "Service/sojourn-survey")["metadata"].pop("labels")),
    ("settings", "LOG_LEVLE is no", lambda f: one(f, "ConfigMap/sojourn-survey")["data"].update(LOG_LEVLE="info")),
    ("settings", "JWKS is not given", lambda f: one(f, "ConfigMap/sojourn-survey")["data"].pop("JWKS")),
    ("settings", "DATABASE_URL is not given", lambda f: container(one(f, DEPLOYMENT))["env"].pop(0)),
    ("settings", "a secret", lambda f: one(f, "ConfigMap/sojourn-registration")["data"].update(SMTP_PASSWORD="x")),
    ("settings", "runs", lambda f: container(one(f, DEPLOYMENT)).update(command=["survey", "serve"])),
    ("settings", "runs", lambda f: container(one(f, DOCTOR)).update(command=["sojourn", "doctor"])),
    ("files", "/etc/sojourn/kafka-user/password is not mounted", lambda f: container(one(f, DOCTOR))["volumeMounts"].pop(3)),
    ("files", "/etc/sojourn/postgres-ca/ca.crt is not mounted", lambda f: container(one(f, JOB))["volumeMounts"].pop(2)),
    ("files", "/etc/sojourn/postgres-role/password is mounted for nobody", lambda f: container(one(f, JOB))["env"].pop(2)),
    ("files", "for nobody", lambda f: one(f, "ConfigMap/sojourn-exchange")["data"].pop("MANIFEST_KEY")),
    ("files", "stays as it was", lambda f: container(one(f, DEPLOYMENT))["volumeMounts"][1].update(subPath="password")),
    ("selectors", "selects", lambda f: one(f, "Service/sojourn-survey")["spec"]["selector"].popitem()),
    ("selectors", "selects", lambda f: template(one(f, DEPLOYMENT))["metadata"].update(labels={})),
    ("selectors", "replicas itself", lambda f: one(f, DEPLOYMENT)["spec"].update(replicas=2)),
    ("selectors", "no Service", lambda f: without(f, "Service/sojourn-survey")),
    ("selectors", "no ServiceAccount", lambda f: without(f, "ServiceAccount/sojourn-survey")),
    ("selectors", "others' pods", lambda f: spread(f).update(labelSelector=OTHER)),
    ("selectors", "selects nothing", lambda f: without(f, DEPLOYMENT)),
    ("selectors", "scales nothing", lambda f: without(f, DEPLOYMENT)),
    ("hooks", "cannot be changed", lambda f: one(f, JOB)["metadata"].pop("annotations")),
    ("hooks", "log goes", lambda f: one(f, JOB)["metadata"]["annotations"].update({"helm.sh/hook-delete-policy": "x"})),
    ("hooks", "comes after", lambda f: one(f, "ServiceAccount/sojourn-migration")["metadata"].pop("annotations")),
    ("hooks", "comes after", lambda f: container(one(f, JOB)).update(envFrom=[{"configMapRef": {"name": "sojourn-survey"}}])),
    ("hooks", "nobody makes", lambda f: without(f, "ServiceAccount/sojourn-migration")),
    ("shapes", "differ", lambda f: container(one(f, DEPLOYMENT)).pop("lifecycle")),
    ("network", "denies everything", lambda f: without(f, "NetworkPolicy/sojourn-deny")),
    ("network", "open", lambda f: one(f, "NetworkPolicy/sojourn-survey")["spec"].update(policyTypes=["Ingress"])),
    ("network", "has 0 policies", lambda f: without(f, "NetworkPolicy/sojourn-survey")),
    ("network", "lacks the way to dns", lambda f: egress(f, "migration").pop(0)),
    ("network", "lacks the way to kafka", lambda f: egress(f, "survey-doctor").pop(2)),
    ("network", "lacks the way to kafka", lambda f: egress(f, "survey-sink").pop(2)),
    ("network", "has the way to kafka", lambda f: egress(f, "migration").append(egress(f, "survey-sink")[2])),
    ("network", "leads anywhere", lambda f: egress(f, "survey").append({})),
    ("network", "everybody", lambda f: one(f, "NetworkPolicy/sojourn-survey")["spec"]["ingress"].append({"ports": []})),
    ("network", "has 0 policies", lambda f: without(f, "NetworkPolicy/sojourn-survey-doctor")),
    ("hooks", "log goes", lambda f: one(f, DOCTOR)["metadata"]["annotations"].update({"helm.sh/hook-delete-policy": "x"})),
    ("network", "is reached by", lambda f: one(f, "NetworkPolicy/sojourn-registration")["spec"]["ingress"][0]["from"].pop()),
    ("availability", "drained", lambda f: one(f, "PodDisruptionBudget/sojourn-survey")["spec"].pop("unhealthyPodEvictionPolicy")),
    ("availability", "partitions", lambda f: one(f, "ScaledObject/sojourn-survey")["spec"].update(maxReplicaCount=7)),
    ("exposure", "/", lambda f: route(f)["matches"][0]["path"].update(value="/")),
    ("exposure", "/metrics", lambda f: route(f)["matches"][0]["path"].update(value="/metrics")),
    ("exposure", "every path", lambda f: route(f).pop("matches")),
    ("kept", "goes with", lambda f: one(f, "Cluster/sojourn-postgres")["metadata"].pop("annotations")),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "says", "broken"), BREAKS, ids=[f"{rule}: {says}" for rule, says, _ in BREAKS])
def test_a_rule_says_what_is_wrong(all_rendered: dict[str, list[Document]], rule: str, says: str, broken: Break):
    found = deepcopy(all_rendered["backing" if rule == "kept" else "production"])
    broken(found)
    wrong = list(RULES[rule](found))
    assert any(says in sentence for sentence in wrong), wrong


def test_every_rule_is_shown_to_fail():
    assert {rule for rule, _, _ in BREAKS} == RULES.keys()


# ---------------------------------------------------------------- one truth


def test_what_the_chart_holds_of_the_code_is_up_to_date():
    stale = [str(path.relative_to(REPOSITORY)) for path, text in written.written().items() if path.read_text() != text]
    assert stale == [], f"run `{written.COMMAND}`"


@pytest.mark.parametrize(
    ("file", "said", "instead"),
    [
        ("files/derived.yaml", "partitions: 6", "partitions: 7"),
        ("files/derived.yaml", "- Write", "- Alter"),
        ("values.schema.json", '"HOLD_DAYS"', '"HOLDING_DAYS"'),
        ("README.md", "How often the store is asked.", "When."),
    ],
)
def test_it_is_noticed_when_the_chart_says_something_else(
    chart: Path, tmp_path: Path, file: str, said: str, instead: str
):
    copy = tmp_path / "sojourn"
    shutil.copytree(chart, copy)
    text = (copy / file).read_text()
    assert said in text
    (copy / file).write_text(text.replace(said, instead, 1))
    assert [path for path, text in written.written(copy).items() if path.read_text() != text] == [copy / file]


def test_the_topics_are_those_of_the_catalogue(all_rendered: dict[str, list[Document]]):
    topics = {topic["spec"]["topicName"]: topic["spec"] for topic in of_kind(all_rendered["topics"], "KafkaTopic")}
    assert {
        name: (spec["partitions"], {k: v for k, v in spec["config"].items() if k != "min.insync.replicas"})
        for name, spec in topics.items()
    } == {name: (topic.partitions, topic.configuration) for name, topic in wanted().items()}
    assert {(spec["replicas"], spec["config"]["min.insync.replicas"]) for spec in topics.values()} == {(3, "2")}


def test_the_users_may_do_what_the_catalogue_lets_them_and_nothing_else(all_rendered: dict[str, list[Document]]):
    users = of_kind(all_rendered["users"], "KafkaUser")
    said = {
        (user["metadata"]["name"], acl["resource"]["type"], acl["resource"]["name"], operation)
        for user in users
        for acl in user["spec"]["authorization"]["acls"]
        for operation in acl["operations"]
    }
    assert said == {(acl.user, acl.kind, acl.name, acl.operation) for acl in acls(Grants(clients={}))}
    every = [acl for user in users for acl in user["spec"]["authorization"]["acls"]]
    assert {acl["resource"]["patternType"] for acl in every} == {"literal"}
    assert not any("type" in acl for acl in every)  # none but those that allow


def test_clients_may_read_what_they_are_granted(tmp_path: Path):
    grants = tmp_path / "grants.yaml"
    grants.write_text(
        "clients: {labour-ministry: {topics: [ExchangeCompleted]}, over-http: {scopes: ['events:public']}}"
    )
    (tmp_path / "clients.yaml").write_text(written.clients(grants))
    said = helm(
        "template", f"--values={tmp_path / 'clients.yaml'}", *options({"strimzi.users.enabled": True}, "backing")
    )
    user = one(documents(said), "KafkaUser/labour-ministry")
    allowed = {acl["resource"]["name"]: acl["operations"] for acl in user["spec"]["authorization"]["acls"]}
    assert allowed == {
        "ExchangeCompleted": ["Describe", "Read"],
        "ManifestIssued": ["Describe", "Read"],
        "labour-ministry": ["Read"],
    }
    assert "KafkaUser/over-http" not in map(named, documents(said))


@pytest.mark.parametrize("profile", ("laptop", "small", "production"))
def test_each_process_takes_the_environment_that_the_chart_gives_it(
    all_rendered: dict[str, list[Document]], profile: str, monkeypatch: pytest.MonkeyPatch
):
    """Files and passwords come from elsewhere; all else is as it will be."""
    found = all_rendered[profile]
    for document in of_kind(found, "Deployment", "CronJob"):
        given = dict(one(found, f"ConfigMap/{document['metadata']['name']}")["data"])
        for variable in container(document)["env"]:
            given[variable["name"]] = variable.get("value", "from-a-secret")
        with monkeypatch.context() as environment:
            for name in environ:
                environment.delenv(name)
            for name, value in given.items():
                environment.setenv(name, value)
            files = {name for name, value in given.items() if value.startswith("/etc/sojourn/")}
            try:
                component(document).settings()
            except ValidationError as error:
                assert {str(e["loc"][0]).upper() for e in error.errors()} <= files, error


def mounted(document: Document, folder: Path, monkeypatch: pytest.MonkeyPatch, found: list[Document]) -> None:
    """The environment of the pod, with its Secrets in the folder in place of /etc/sojourn; a password says whose it is."""
    authority = Authority()
    key, certificate = authority.signed()
    holds = {"ca.crt": authority.certificate, "user.crt": certificate, "user.key": key}
    given = {variable["name"]: variable["value"] for variable in container(document)["env"]}
    for source in container(document).get("envFrom", ()):
        given |= one(found, f"ConfigMap/{source['configMapRef']['name']}")["data"]
    volumes = template(document)["spec"]["volumes"]
    secrets = {volume["name"]: volume["secret"] for volume in volumes if "secret" in volume}
    for mount in container(document)["volumeMounts"]:
        for item in secrets.get(mount["name"], {}).get("items", ()):
            file = folder / mount["mountPath"].removeprefix("/etc/sojourn/") / item["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            said = f"{item['key']} of {secrets[mount['name']]['secretName']}\n"
            file.write_bytes(holds.get(item["key"], said.encode()))
    for name in environ:
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value.replace("/etc/sojourn", str(folder)))


@pytest.mark.parametrize("variant", ["as it is", "known by certificates"])
@pytest.mark.parametrize(
    ("process", "kafka"),
    [(DEPLOYMENT, "exchange"), ("Job/sojourn-exchange-doctor", "exchange"), ("Deployment/sojourn-survey-sink", "survey-sink")],
)  # fmt: skip
def test_passwords_and_certificates_are_where_the_settings_look_for_them(
    all_rendered: dict[str, list[Document]],
    variant: str,
    process: str,
    kafka: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    document = one(all_rendered[variant], process)
    assert not any("valueFrom" in variable for variable in container(document)["env"]), "which would need a restart"
    mounted(document, tmp_path, monkeypatch, all_rendered[variant])
    monkeypatch.delenv("MANIFEST_KEY", raising=False)
    settings: Any = component(document).settings()
    file = settings.database_password_file if kafka == "exchange" else settings.catalog_password_file
    assert file.read_text() == f"password of sojourn-postgres-{component(document).service}\n"
    signs_in = settings.brokers.client()
    assert signs_in["ssl_context"]
    if variant == "as it is":
        assert signs_in["sasl_plain_username"] == kafka
        assert signs_in["sasl_plain_password"].encode() == f"password of {kafka}".encode()
    else:
        assert settings.kafka_certificate_file == tmp_path / "kafka-user" / "user.crt"
        secret = next(v["secret"] for v in template(document)["spec"]["volumes"] if v["name"] == "kafka-user")
        assert secret["secretName"] == kafka


def test_a_migration_finds_the_migrators_password(
    all_rendered: dict[str, list[Document]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    mounted(one(all_rendered["as it is"], JOB), tmp_path, monkeypatch, all_rendered["as it is"])
    file = MigrateSettings().migrator_database_password_file  # pyright: ignore[reportCallIssue]
    assert file is not None
    assert file.read_text() == "password of sojourn-postgres-migrator\n"


def test_who_listens_migrates_or_has_the_tables_catalog_goes_past_a_pooler(all_rendered: dict[str, list[Document]]):
    found = all_rendered["past a pooler"]
    urls = {
        (named(document), variable["name"]): urlsplit(variable["value"]).netloc.rpartition("@")[2]
        for document in running(found)
        for variable in container(document)["env"]
        if variable["name"].endswith("_URL")
    }
    assert urls[DEPLOYMENT, "DATABASE_URL"] == urls[DOCTOR, "DATABASE_URL"] == "pgbouncer:6432"
    assert {at for (_, name), at in urls.items() if name != "DATABASE_URL"} == {"primary:5432"}
    assert {name for _, name in urls} == {"DATABASE_URL", "LISTEN_DATABASE_URL", "MIGRATOR_DATABASE_URL", "CATALOG_URL"}
    (ports,) = [rule["ports"] for rule in egress(found, "exchange") if "cnpg.io/cluster" in str(rule["to"])]
    assert [port["port"] for port in ports] == [6432, 5432]


def test_whoever_is_reached_through_a_gateway_believes_it_and_nobody_else(all_rendered: dict[str, list[Document]]):
    def believed(variant: str) -> dict[str, str]:
        maps = of_kind(all_rendered[variant], "ConfigMap")
        return {
            each["metadata"]["name"]: each["data"]["FORWARDED_ALLOW_IPS"]
            for each in maps
            if "FORWARDED_ALLOW_IPS" in each["data"]
        }

    assert believed("HTTPRoute") == {"sojourn-survey": "192.0.2.0/24,2001:db8::7"}
    assert believed("who is believed, as a setting") == {"sojourn-survey": "192.0.2.7"}
    exposed = {named(each).rpartition("/")[2] for each in of_kind(all_rendered["production"], "HTTPRoute")}
    assert believed("production").keys() == exposed
    assert len(exposed) == 5


async def test_the_database_that_the_chart_describes_takes_the_migrations_and_keeps_services_apart(
    all_rendered: dict[str, list[Document]], server_folder: Path
):
    """Done in the order of CloudNativePG: the owner, its queries, the database, its queries; then passwords, and schemas."""
    described = one(all_rendered["backing"], "Cluster/sojourn-postgres")["spec"]["bootstrap"]["initdb"]
    server = Postgres(server_folder, settings={"fsync": "off"})
    await server.start()
    try:
        admin = await asyncpg.connect(server.admin_url)
        await admin.execute(f"create role {described['owner']} login")
        for query in described["postInitSQL"]:
            await admin.execute(query)
        await admin.execute(f"create database {described['database']} owner {described['owner']}")
        roles = of_kind(all_rendered["backing"], "DatabaseRole")
        for role in roles:
            await admin.execute(f"alter role {role['spec']['name']} password 'secret'")
        await admin.close()
        made = Database(server.admin_url, described["database"], {role["spec"]["name"]: "secret" for role in roles})
        owner = await asyncpg.connect(made.owner_url)
        for query in described["postInitApplicationSQL"]:
            await owner.execute(query)
        for schema in one(all_rendered["backing"], "Database/sojourn")["spec"]["schemas"]:
            await owner.execute(f"create schema {schema['name']} authorization {schema['owner']}")
        await owner.close()
        for service in (survey, exchange):
            await migrate(made.migrator_url, service.name, service.migrations)
        runtime = await asyncpg.connect(made.url("survey"))
        assert await runtime.fetchval("select count(*) from outbox") == 0
        assert await runtime.fetchval("show idle_in_transaction_session_timeout") == "5s"
        assert await runtime.fetchval("show lock_timeout") == "5s"
        for forbidden in ("select 1 from exchange.outbox", "create table x ()", "create schema x", "create role x"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await runtime.execute(forbidden)
        await runtime.close()
    finally:
        await server.stop()


# ---------------------------------------------------------------- values


REFUSED: list[tuple[tuple[str, ...], Document, str]] = [
    ((), {"registraton": {}}, "additional properties 'registraton' not allowed"),
    ((), {"survey.settings": {"RELEASE_MINIMUN": "3"}}, "'RELEASE_MINIMUN' not allowed"),
    ((), {"survey.settings": {"PLANNER_TICK_HOURS": "3"}}, "'PLANNER_TICK_HOURS' not allowed"),
    ((), {"registration.settings": {"SMTP_PASSWORD": "x"}}, "'SMTP_PASSWORD' not allowed"),
    ((), {"matching.settings": {"HOLD_DAYS": 3}}, "got number, want string"),
    ((), {"matching.replicas": "three"}, "got string, want integer"),
    ((), {"surveyEvaluation.replicas": 2}, "'replicas' not allowed"),
    ((), {"exposure.kind": "Route"}, "must be one of"),
    (("backing",), {"services.enabled": True}, "a release of their own with services.enabled=false"),
    ((), {"externalSecrets.enabled": True}, "a release of their own with services.enabled=false"),
    ((), {"surveySink.autoscaling.kind": "keda"}, "surveySink.autoscaling.kind: keda scales by the lag"),
    ((), {"survey.autoscaling": {"kind": "hpa", "minReplicas": 5, "maxReplicas": 4}}, "minReplicas is above"),
    ((), {"survey.files.MANIFEST_KEY": {"key": "a"}}, "survey.files.MANIFEST_KEY: give either a secret or a configMap"),
    ((), {"registration.enabled": False}, "exchange.settings.JWKS: without registration here"),
    ((), {"exposure.kind": "HTTPRoute"}, "exposure.parentRefs: an HTTPRoute belongs to a Gateway"),
    ((), INGRESS, "exposure.proxies: say from which addresses the gateway or Ingress asks survey"),
    ((), ROUTE, "exposure.proxies: say from which addresses the gateway or Ingress asks survey"),
    ((), {"exposure.proxies": ["*"]}, "does not match pattern"),
    ((), {"kafka.securityProtocol": "TLS"}, "must be one of"),
    ((), {"postgres.direct": {"host": "primary", "database": "x"}}, "'database' not allowed"),
    ((), {"warehouse.location": "/data"}, "warehouse.existingClaim: a folder of a container is gone with it"),
]  # fmt: skip


@pytest.mark.parametrize(("profiles", "values", "says"), REFUSED, ids=[says for _, _, says in REFUSED])
def test_values_that_cannot_be_are_refused_by_name(profiles: tuple[str, ...], values: Document, says: str):
    assert says in helm("template", *options(values, *profiles), fails=True)


def test_the_schema_types_every_value_and_knows_its_own_definitions_alone():
    schema = json.loads((CHART / "values.schema.json").read_text())

    def loose(node: Document, path: str) -> Iterator[str]:
        if "$ref" in node:
            if not node["$ref"].startswith("#/"):
                yield f"{path} is defined elsewhere"
            return
        if "type" not in node:
            yield f"{path} has no type"
        for name, part in node.get("properties", {}).items():
            yield from loose(part, f"{path}.{name}")
        for part in (node.get("items"), node.get("additionalProperties")):
            if isinstance(part, dict):
                yield from loose(part, f"{path}.*")
        if node.get("type") == "object" and "additionalProperties" not in node:
            yield f"{path} is open"
        if node.get("type") == "array" and "items" not in node:
            yield f"{path} has no items"

    found = [
        *loose(schema, ""),
        *(each for name, part in schema["$defs"].items() for each in loose(part, f"$defs.{name}")),
    ]
    assert sorted(found) == ["$defs.passedThrough is open", ".global is open"]
    assert schema["additionalProperties"] is False


def test_every_value_is_told_of():
    """Above it, above what holds it whole, or where the defaults of all processes are."""
    text = (CHART / "values.yaml").read_text()
    told = {key for key, _, _ in written.keys(text)}

    def leaves(value: Any, path: str) -> Iterator[str]:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                yield from leaves(inner, f"{path}.{key}".lstrip("."))
        else:
            yield path

    processes = (*written.COMPONENTS,)
    untold = [
        leaf
        for leaf in leaves(yaml.safe_load(text), "")
        if leaf not in told and not any(".".join(leaf.split(".")[:n]) in told for n in range(2, 9))
        and not (leaf.split(".")[0] in processes and ".".join(["defaults", *leaf.split(".")[1:]]) in told)
        and not (leaf.split(".")[0] in processes and leaf in told | set(processes))
    ]  # fmt: skip
    assert untold == []


def test_matchings_memory_grows_with_the_companies(all_rendered: dict[str, list[Document]]):
    def memory(variant: str) -> str:
        return container(one(all_rendered[variant], "Deployment/sojourn-matching"))["resources"]["requests"]["memory"]

    assert memory("as it is") == f"{190 + -(-890 * 100_000 // 2**20)}Mi"
    assert memory("production") == f"{190 + -(-890 * 250_000 // 2**20)}Mi"


def test_the_database_has_connections_for_as_many_pods_as_there_may_be(all_rendered: dict[str, list[Document]]):
    found = all_rendered["production"]
    most = {d["metadata"]["name"]: d["spec"]["maxReplicaCount"] for d in of_kind(found, "ScaledObject")}
    pods = sum(most.get(d["metadata"]["name"], d["spec"].get("replicas", 0)) + 1 for d in of_kind(found, "Deployment"))
    each = Settings.model_fields["pool_size"].default + 2
    cluster = one(all_rendered["backing"], "Cluster/sojourn-postgres")["spec"]
    assert pods * each <= int(cluster["postgresql"]["parameters"]["max_connections"])


def test_a_changed_setting_replaces_the_pods(all_rendered: dict[str, list[Document]]):
    def checksum(found: list[Document]) -> str:
        return template(one(found, DEPLOYMENT))["metadata"]["annotations"]["checksum/settings"]

    changed = rendered({"exchange.settings.MOST_SENT": "3"})
    assert checksum(changed) != checksum(all_rendered["as it is"])
    assert one(changed, "ConfigMap/sojourn-exchange")["data"]["MOST_SENT"] == "3"


def test_alerts_are_one_rule_without_those_that_are_dropped_and_dashboards_stay_as_they_are(
    chart: Path, all_rendered: dict[str, list[Document]]
):
    found = all_rendered["rules and dashboards"]
    (rule,) = of_kind(found, "PrometheusRule")
    assert {"name": "g", "rules": [ALERT]} in rule["spec"]["groups"]
    dashboard = one(found, "ConfigMap/sojourn-dashboard-example")
    assert dashboard["data"] == {"example.json": '{"title": "{{ not a template }}"}'}
    dropped = rendered({"monitoring.rules": {"enabled": True, "without": ["Example"]}}, chart=chart)
    rules = [
        rule
        for each in of_kind(dropped, "PrometheusRule")
        for group in each["spec"]["groups"]
        for rule in group["rules"]
    ]
    assert ALERT not in rules


def test_alerts_lead_to_where_runbooks_are_published(all_rendered: dict[str, list[Document]]):
    given = {"monitoring.rules.enabled": True, "monitoring.rules.runbooks": "https://docs.example/runbooks/"}
    found = of_kind(rendered(given), "PrometheusRule")
    rules = [rule for each in found for group in each["spec"]["groups"] for rule in group["rules"] if "alert" in rule]
    assert len(rules) >= 16
    for rule in rules:
        assert rule["annotations"]["runbook_url"] == f"https://docs.example/runbooks/{rule['alert']}.md"


def test_the_doctor_of_registration_asks_for_its_keys_where_they_are_served(all_rendered: dict[str, list[Document]]):
    found = container(one(all_rendered["production"], "Job/sojourn-registration-doctor"))
    at = "http://sojourn-registration:8000/.well-known/jwks.json"
    assert {"name": "JWKS", "value": at} in found["env"]


def test_keda_signs_in_at_kafka_as_the_process_whose_lag_it_asks_for(all_rendered: dict[str, list[Document]]):
    """Mechanism and encryption stand with the trigger, where KEDA 2.20 reads them; name and password apart from it."""
    found = all_rendered["production"]
    for scaled in of_kind(found, "ScaledObject"):
        (trigger,) = scaled["spec"]["triggers"]
        assert (trigger["metadata"]["sasl"], trigger["metadata"]["tls"]) == ("scram_sha512", "enable")
        credentials = one(found, f"TriggerAuthentication/{trigger['authenticationRef']['name']}")["spec"]
        parameters = [each["parameter"] for kind in credentials.values() for each in kind]
        assert sorted(parameters) == ["ca", "password", "username"]


def test_where_users_are_known_by_certificates_keda_and_strimzi_are_told_so(all_rendered: dict[str, list[Document]]):
    found = all_rendered["known by certificates"]
    for scaled in of_kind(found, "ScaledObject"):
        (trigger,) = scaled["spec"]["triggers"]
        assert trigger["metadata"]["tls"] == "enable"
        assert "sasl" not in trigger["metadata"]
        credentials = one(found, f"TriggerAuthentication/{trigger['authenticationRef']['name']}")["spec"]
        assert credentials.keys() == {"secretTargetRef"}
        assert {each["parameter"]: each["key"] for each in credentials["secretTargetRef"]} == {
            "cert": "user.crt",
            "key": "user.key",
            "ca": "ca.crt",
        }
    assert {user["spec"]["authentication"]["type"] for user in of_kind(found, "KafkaUser")} == {"tls"}
    assert {user["spec"]["authentication"]["type"] for user in of_kind(all_rendered["users"], "KafkaUser")} == {
        "scram-sha-512"
    }


def test_whoever_scrapes_keeps_our_labels_which_the_alerts_go_by(all_rendered: dict[str, list[Document]]):
    monitors = [
        document
        for documents in all_rendered.values()
        for document in documents
        if document["kind"] in ("ServiceMonitor", "PodMonitor")
    ]
    assert {monitor["kind"] for monitor in monitors} == {"ServiceMonitor", "PodMonitor"}
    for monitor in monitors:
        endpoints = monitor["spec"].get("endpoints") or monitor["spec"]["podMetricsEndpoints"]
        assert all(endpoint["honorLabels"] for endpoint in endpoints)


def test_it_can_be_a_part_of_another_chart(chart: Path, tmp_path: Path):
    whole = tmp_path / "whole"
    shutil.copytree(chart, whole / "charts" / "sojourn")
    part = {"name": "sojourn", "version": "0.1.0", "condition": "sojourn.enabled"}
    about = {"apiVersion": "v2", "name": "whole", "version": "1.0.0", "dependencies": [part]}
    (whole / "Chart.yaml").write_text(yaml.safe_dump(about))
    values = {"global": {"anything": {"goes": 1}}, "sojourn": {"enabled": True, "survey": {"replicas": 4}}}
    (whole / "values.yaml").write_text(yaml.safe_dump(values))
    found = documents(helm("template", chart=whole))
    assert one(found, "Deployment/sojourn-survey")["spec"]["replicas"] == 4
    assert [f"{name}: {wrong}" for name, rule in RULES.items() for wrong in rule(found)] == []
    assert documents(helm("template", "--set=sojourn.enabled=false", chart=whole)) == []


def test_names_fit_however_long_the_release_is_called(chart: Path):
    found = documents(helm("template", *options({"fullnameOverride": "x" * 80}), chart=chart))
    assert max(len(document["metadata"]["name"]) for document in of_kind(found, "CronJob")) <= 52
    assert max(len(document["metadata"]["name"]) for document in found) <= 63


def test_the_notes_warn_of_what_is_weak():
    said = helm("install", "--dry-run=client", *options({}, "laptop"))
    for weak in ("networkPolicy.enabled", "kafka.securityProtocol", "postgres.parameters.sslmode", "MANIFEST_KEY"):
        assert f"WARNING: {weak}" in said or f"WARNING: registration.files.{weak}" in said
    assert "WARNING" not in helm("install", "--dry-run=client", *options({}, "production"))
