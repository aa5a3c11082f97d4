"""The chart as Helm renders it, and the rules that what is rendered is held to.

A rule takes the documents of one rendering and tells what is wrong with them; ``tests/deploy/test_chart.py`` shows that each can.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml
from sojourn_contracts.access import acls
from sojourn_contracts.catalogue import TOPICS
from sojourn_contracts.grants import Grants

from deploy.helm.written import CHART, COMPONENTS, Component, names, open_names, required
from tests.conftest import REPOSITORY

Document = dict[str, Any]
Rule = Callable[[list[Document]], Iterator[str]]

NAMESPACE = "programme"
PARTITIONS = max(topic.partitions for topic in TOPICS)
PRIVATE = ("/live", "/ready", "/metrics", "/status")
STOPS_WITHIN = 15
"""Seconds that a service takes to stop at most: see ``chassis.service``."""
OTHER_PROGRAMS = {"NUMBA_CACHE_DIR", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def tool(name: str) -> Path:
    """A program of the folder `shared`, which stands beside the checkouts where there is one."""
    for folder in REPOSITORY.parents:
        if (folder / "shared" / "tools" / name).exists():
            return folder / "shared" / "tools" / name
    pytest.skip(
        f"{name} is not here: it is neither on the PATH nor in ../shared/tools; the chart was NOT checked by it"
    )


def helm(*arguments: str, chart: Path = CHART, fails: bool = False) -> str:
    """What Helm prints; of a command that is to fail, what it says is wrong."""
    program = shutil.which("helm") or str(tool("helm"))
    command, *rest = arguments
    named = ["sojourn"] if command in ("template", "install") else []
    done = subprocess.run(
        [program, command, *named, str(chart), "--namespace", NAMESPACE, *rest],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"HELM_CACHE_HOME": str(REPOSITORY / "build" / "helm")},
    )
    assert (done.returncode != 0) is fails, done.stderr + done.stdout
    return done.stderr if fails else done.stdout


def rendered(values: Document, *profiles: str, chart: Path = CHART) -> list[Document]:
    """The documents under a profile and values on top of it."""
    return documents(helm("template", *options(values, *profiles), chart=chart))


def options(values: Document, *profiles: str) -> list[str]:
    files = [f"--values={CHART / 'profiles' / profile}.yaml" for profile in profiles]
    return files + [f"--set-json={key}={json.dumps(value)}" for key, value in values.items()]


def documents(text: str) -> list[Document]:
    return [document for document in yaml.load_all(text, yaml.CSafeLoader) if document is not None]


def named(document: Document) -> str:
    return f"{document['kind']}/{document['metadata']['name']}"


def of_kind(found: list[Document], *kinds: str) -> list[Document]:
    return [document for document in found if document["kind"] in kinds]


def template(document: Document) -> Document:
    """Of its pods."""
    spec = document["spec"]
    return spec["jobTemplate"]["spec"]["template"] if document["kind"] == "CronJob" else spec["template"]


def running(found: list[Document]) -> list[Document]:
    """What has pods."""
    return of_kind(found, "Deployment", "CronJob", "Job")


def pods(found: list[Document]) -> Iterator[tuple[str, Document, Document]]:
    """Of each that has pods: its name, their spec and their only container."""
    for document in running(found):
        spec = template(document)["spec"]
        (container,) = spec["containers"]
        yield named(document), spec, container


def component(document: Document) -> Component:
    """Whose process it is, or whose doctor."""
    by_label = {"".join(["-" + c.lower() if c.isupper() else c for c in name]): of for name, of in COMPONENTS.items()}
    return by_label[document["metadata"]["labels"]["app.kubernetes.io/component"].removesuffix("-doctor")]


def is_doctor(document: Document) -> bool:
    return "test" in document["metadata"].get("annotations", {}).get("helm.sh/hook", "")


def is_hook(document: Document) -> bool:
    return "helm.sh/hook" in document["metadata"].get("annotations", {})


def security(found: list[Document]) -> Iterator[str]:
    """The restricted Pod Security standard, a root that is not written to, no token, nothing told by links."""
    for name, spec, container in pods(found):
        pod, own = spec["securityContext"], container.get("securityContext", {})
        wanted = {
            "not root": pod.get("runAsNonRoot") is True and pod.get("runAsUser", 0) > 0,
            "seccomp": pod.get("seccompProfile") == {"type": "RuntimeDefault"},
            "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
            "read-only root": own.get("readOnlyRootFilesystem") is True,
            "escalation": own.get("allowPrivilegeEscalation") is False and not own.get("privileged"),
            "token": spec.get("automountServiceAccountToken") is False,
            "links": spec.get("enableServiceLinks") is False,
            "host": not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")),
            "volumes": all(
                {"emptyDir", "secret", "configMap", "persistentVolumeClaim"} & v.keys() for v in spec["volumes"]
            ),
        }
        yield from (f"{name}: {what}" for what, holds in wanted.items() if not holds)
    for account in of_kind(found, "ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield f"{named(account)}: token"


def probes(found: list[Document]) -> Iterator[str]:
    """Ready and started by the schema, live by an answer alone; time to stop in."""
    for document in of_kind(found, "Deployment"):
        spec = template(document)["spec"]
        (container,) = spec["containers"]
        for probe, path in (("startup", "/ready"), ("readiness", "/ready"), ("liveness", "/live")):
            if container.get(f"{probe}Probe", {}).get("httpGet") != {"path": path, "port": "http"}:
                yield f"{named(document)}: {probe}"
        drains = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if spec.get("terminationGracePeriodSeconds", 30) < drains + STOPS_WITHIN:
            yield f"{named(document)}: it is killed before it has stopped"
        strategy = document["spec"]["strategy"]
        if strategy["type"] != "Recreate" and strategy["rollingUpdate"]["maxUnavailable"] != 0:
            yield f"{named(document)}: fewer pods during an upgrade"


def resources(found: list[Document]) -> Iterator[str]:
    """Something is requested, memory has a limit, and CPU has none: who is throttled drops out of its group."""
    for name, _, container in pods(found):
        held = container.get("resources", {})
        if {"cpu", "memory"} - held.get("requests", {}).keys() or held.get("limits", {}).keys() != {"memory"}:
            yield f"{name}: {held}"


def whole(found: list[Document]) -> Iterator[str]:
    """No null, which some tools take for a value; every object says its namespace and whose it is."""
    for document in found:
        yield from (f"{named(document)}: {path} is null" for path in _nulls(document))
        if document["metadata"].get("namespace") != NAMESPACE:
            yield f"{named(document)}: namespace"
        if "app.kubernetes.io/instance" not in document["metadata"].get("labels", {}):
            yield f"{named(document)}: labels"


def _nulls(value: Any, path: str = "") -> Iterator[str]:
    if value is None:
        yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _nulls(inner, f"{path}.{key}")


def settings(found: list[Document]) -> Iterator[str]:
    """Each variable is a setting of its process, each that the process needs is given, and no secret is in a ConfigMap."""
    maps = {document["metadata"]["name"]: document["data"] for document in of_kind(found, "ConfigMap")}
    for document in (d for d in found if d["kind"] in ("Deployment", "CronJob") or is_doctor(d)):
        of = component(document)
        (container,) = template(document)["spec"]["containers"]
        runs = (
            ("sojourn", "doctor", "--url", f"http://sojourn-{of.service}:8000") if is_doctor(document) else of.command
        )
        if tuple(container["command"]) != runs:
            yield f"{named(document)}: runs {container['command']}"
        told = {name for source in container["envFrom"] for name in maps.get(source["configMapRef"]["name"], {})}
        own = {variable["name"] for variable in container["env"]}
        for unknown in sorted((told | own) - OTHER_PROGRAMS - set(names(of.settings))):
            yield f"{named(document)}: {unknown} is no setting"
        for missing in sorted(set(required(of.settings)) - told - own):
            yield f"{named(document)}: {missing} is not given"
        for secret in sorted((told & set(names(of.settings))) - set(open_names(of.settings))):
            yield f"{named(document)}: {secret} is a secret"


def files(found: list[Document]) -> Iterator[str]:
    """Each file that a setting names is mounted, so that what takes its place is seen; each that is mounted is named."""
    maps = {document["metadata"]["name"]: document["data"] for document in of_kind(found, "ConfigMap")}
    for name, spec, container in pods(found):
        sources = [maps.get(source["configMapRef"]["name"], {}) for source in container.get("envFrom", ())]
        values = [value for told in sources for value in told.values()]
        values += [variable.get("value", "") for variable in container["env"]]
        wanted = {path for value in values for path in _FILE.findall(unquote(value))}
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        there: set[str] = set()
        for mount in container["volumeMounts"]:
            if "subPath" in mount:
                yield f"{name}: {mount['name']} stays as it was when the pod began"
            if items := volumes.get(mount["name"], {}).get("secret", {}).get("items"):
                there |= {f"{mount['mountPath']}/{item['path']}" for item in items}
            elif mount["mountPath"].startswith(_FILES):
                folder = mount["mountPath"]
                there |= {path for path in wanted if path == folder or path.startswith(folder + "/")} or {folder}
        yield from (f"{name}: {path} is not mounted" for path in sorted(wanted - there))
        yield from (f"{name}: {path} is mounted for nobody" for path in sorted(there - wanted))


_FILES = "/etc/sojourn/"
_FILE = re.compile(rf"{_FILES}[^&]+")


def selectors(found: list[Document]) -> Iterator[str]:
    """Whatever selects pods, or names what it scales or leads to, finds exactly that."""
    by_name = {named(document): document for document in found}
    labels = {named(document): template(document)["metadata"]["labels"] for document in running(found)}

    def chosen(wanted: dict[str, str]) -> list[str]:
        return [name for name, has in labels.items() if wanted.items() <= has.items()]

    for document in found:
        name, spec = named(document), document.get("spec", {})
        itself = f"Deployment/{document['metadata']['name']}"
        if document["kind"] in ("Deployment", "PodDisruptionBudget") and chosen(spec["selector"]["matchLabels"]) != [
            itself
        ]:
            yield f"{name}: selects {chosen(spec['selector']['matchLabels'])}"
        if document["kind"] == "Service" and chosen(spec["selector"]) != [itself]:
            yield f"{name}: selects {chosen(spec['selector'])}"
        if document["kind"] in ("ScaledObject", "HorizontalPodAutoscaler"):
            scaled = by_name.get(f"Deployment/{spec['scaleTargetRef']['name']}")
            if scaled is None:
                yield f"{name}: scales nothing"
            elif "replicas" in scaled["spec"]:
                yield f"{name}: what it scales says its replicas itself"
        if document["kind"] == "NetworkPolicy" and not chosen(spec["podSelector"]["matchLabels"]):
            yield f"{name}: selects nothing"
        for service in _backends(document):
            if f"Service/{service}" not in by_name:
                yield f"{name}: there is no Service {service}"
        if document["kind"] in ("Deployment", "CronJob", "Job"):
            account = template(document)["spec"]["serviceAccountName"]
            own = account.startswith("sojourn")
            if own and f"ServiceAccount/{account}" not in by_name:
                yield f"{name}: there is no ServiceAccount {account}"
            for part in template(document)["spec"].get("topologySpreadConstraints", ()):
                if not part["labelSelector"]["matchLabels"].items() <= labels[name].items():
                    yield f"{name}: is spread over others' pods"


def _backends(document: Document) -> Iterator[str]:
    for rule in document.get("spec", {}).get("rules", ()) if document["kind"] in ("HTTPRoute", "Ingress") else ():
        yield from (reference["name"] for reference in rule.get("backendRefs", ()))
        yield from (path["backend"]["service"]["name"] for path in rule.get("http", {}).get("paths", ()))


def hooks(found: list[Document]) -> Iterator[str]:
    """A hook needs nothing that comes after it, and its log stays."""
    weights = {named(d): int(d["metadata"]["annotations"].get("helm.sh/hook-weight", 0)) for d in found if is_hook(d)}
    of_release = {named(document) for document in found}
    for document in found:
        if not is_hook(document):
            if document["kind"] == "Job":
                yield f"{named(document)}: cannot be changed by an upgrade"
            continue
        if document["metadata"]["annotations"]["helm.sh/hook-delete-policy"] != "before-hook-creation":
            yield f"{named(document)}: its log goes"
        if document["kind"] in ("Cluster", "Database", "KafkaTopic", "ExternalSecret"):
            yield f"{named(document)}: is deleted before it is made anew"
        for needed in _needed(document):
            # A test comes when all of the release is there.
            if (
                needed in of_release
                and not is_doctor(document)
                and weights.get(needed, 10**6) >= weights[named(document)]
            ):
                yield f"{named(document)}: needs {needed}, which comes after it"
            if needed.startswith("ServiceAccount/sojourn") and needed not in of_release:
                yield f"{named(document)}: needs {needed}, which nobody makes"


def _needed(document: Document) -> Iterator[str]:
    if document["kind"] not in ("Job", "Pod"):
        return
    spec = template(document)["spec"]
    yield f"ServiceAccount/{spec['serviceAccountName']}"
    sources = [*spec["volumes"], *(e for c in spec["containers"] for e in (*c.get("env", ()), *c.get("envFrom", ())))]
    for source in sources:
        for at in (source, source.get("valueFrom", {})):
            for key, kind in (
                ("configMap", "ConfigMap"),
                ("configMapRef", "ConfigMap"),
                ("configMapKeyRef", "ConfigMap"),
            ):
                if key in at:
                    yield f"{kind}/{at[key]['name']}"
            for key, field in (("secret", "secretName"), ("secretRef", "name"), ("secretKeyRef", "name")):
                if key in at:
                    yield from (f"{kind}/{at[key][field]}" for kind in ("Secret", "ExternalSecret", "KafkaUser"))


def shapes(found: list[Document]) -> Iterator[str]:
    """All processes come from one template: what one can be told, each can."""
    deployments = of_kind(found, "Deployment")
    optional = {"replicas", "topologySpreadConstraints"}
    of = {named(d): _keys(d) - optional for d in deployments}
    usual = frozenset.intersection(*of.values()) if of else frozenset()
    yield from (f"{name}: {sorted(keys ^ usual)} differ" for name, keys in of.items() if keys != usual)


def _keys(document: Document) -> frozenset[str]:
    spec = template(document)["spec"]
    return frozenset((*document["spec"], *spec, *spec["containers"][0], *template(document)["metadata"]))


def network(found: list[Document]) -> Iterator[str]:
    """Where there are policies: all is denied, each process has its own, and its edges are those of the code."""
    policies = of_kind(found, "NetworkPolicy")
    if not policies:
        return
    bare = [p for p in policies if not {"ingress", "egress"} & p["spec"].keys()]
    instance = {"app.kubernetes.io/name", "app.kubernetes.io/instance"}
    if [p["spec"]["podSelector"]["matchLabels"].keys() for p in bare] != [instance]:
        yield "nothing denies everything"
    for policy in policies:
        if policy["spec"].get("policyTypes") != ["Ingress", "Egress"]:
            yield f"{named(policy)}: leaves a direction open"
    for document in running(found):
        labels = template(document)["metadata"]["labels"]
        own = [
            p for p in policies if p not in bare and p["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
        ]
        if len(own) != 1:
            yield f"{named(document)}: has {len(own)} policies"
            continue
        egress = own[0]["spec"].get("egress", [])
        wanted = {"dns": True, "postgres": True, "kafka": False, "registration": False}
        if document["kind"] != "Job" or is_doctor(document):
            of = component(document)
            wanted["kafka"] = of.user in {acl.user for acl in acls(Grants(clients={}))}
            here = any(named(other) == "Deployment/sojourn-registration" for other in found)
            wanted["registration"] = here and "JWKS" in names(of.settings) and of.service != "registration"
            wanted["registration"] |= is_doctor(document) and of.service == "registration"
        for edge, has in wanted.items():
            if any(_leads(rule, edge) for rule in egress) is not has:
                yield f"{named(document)}: {'lacks' if has else 'has'} the way to {edge}"
        if any(not rule.get("to") or not rule.get("ports") for rule in egress):
            yield f"{named(document)}: leads anywhere"
        for rule in own[0]["spec"].get("ingress", []):
            if not rule.get("from"):
                yield f"{named(document)}: lets everybody in"
    asked = next((p for p in policies if p["metadata"]["name"] == "sojourn-registration"), None)
    if asked is not None:
        ours = {
            peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
            for rule in asked["spec"].get("ingress", [])
            for peer in rule["from"]
            if "app.kubernetes.io/component" in peer.get("podSelector", {}).get("matchLabels", {})
        }
        asking = {
            d["metadata"]["labels"]["app.kubernetes.io/component"]
            for d in (d for d in found if d["kind"] == "Deployment" or is_doctor(d))
            if "JWKS" in names(component(d).settings)
            if is_doctor(d) or component(d).service != "registration"
        }
        if ours != asking:
            yield f"registration is reached by {sorted(ours)}, not by {sorted(asking)}"


def _leads(rule: Document, edge: str) -> bool:
    marks = {
        "dns": {"k8s-app": "kube-dns"},
        "kafka": {"strimzi.io/cluster": "sojourn"},
        "postgres": {"cnpg.io/cluster": "sojourn-postgres"},
        "registration": {"app.kubernetes.io/component": "registration"},
    }
    return any(
        marks[edge].items() <= peer.get("podSelector", {}).get("matchLabels", {}).items() for peer in rule.get("to", ())
    )


def availability(found: list[Document]) -> Iterator[str]:
    """A pod that is not ready keeps no node from being drained; there are never more pods than partitions."""
    for budget in of_kind(found, "PodDisruptionBudget"):
        if budget["spec"].get("unhealthyPodEvictionPolicy") != "AlwaysAllow" or not budget["spec"].get(
            "maxUnavailable"
        ):
            yield f"{named(budget)}: may keep a node from being drained"
    for scaler in of_kind(found, "ScaledObject", "HorizontalPodAutoscaler"):
        most = scaler["spec"].get("maxReplicaCount", scaler["spec"].get("maxReplicas"))
        if most > PARTITIONS and not scaler["metadata"]["name"].endswith("files"):
            yield f"{named(scaler)}: {most} pods for {PARTITIONS} partitions"


def exposure(found: list[Document]) -> Iterator[str]:
    """Probes and metrics are nobody's outside."""
    for document in of_kind(found, "HTTPRoute", "Ingress"):
        for rule in document["spec"]["rules"]:
            paths = [match["path"]["value"] for match in rule.get("matches", ())]
            paths += [path["path"] for path in rule.get("http", {}).get("paths", ())]
            if not paths:
                yield f"{named(document)}: leads to every path"
            for path in paths:
                if any((private + "/").startswith(path.rstrip("/") + "/") for private in PRIVATE):
                    yield f"{named(document)}: leads to {path}"


def kept(found: list[Document]) -> Iterator[str]:
    """What holds data outlives its release."""
    for document in of_kind(found, "Cluster", "Database", "DatabaseRole", "KafkaTopic"):
        if document["metadata"].get("annotations", {}).get("helm.sh/resource-policy") != "keep":
            yield f"{named(document)}: goes with the release"


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        security, probes, resources, whole, settings, files, selectors, hooks, shapes, network, availability, exposure, kept,
    )
}  # fmt: skip
