"""What the chart holds that the code says already, and the command that writes it: ``make contracts``.

``files/derived.yaml``: topics, users with their ACLs, roles with their limits, and of each process its command, what it talks to
and the paths it has for the public; all from the catalogue, the grants' rules, the laptop's roles and the settings' classes.
``values.schema.json``: between hand-written parts, the names of the settings that each process takes.
``README.md``: a table of ``values.yaml``, from its comments.

``python -m deploy.helm.written clients GRANTS`` prints values: what the clients of a file of grants may do.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml
from chassis.settings import LogSettings
from exchange.main import service as exchange
from fastapi import APIRouter
from laptop.roles import MIGRATOR, limits, runtime_role
from laptop.topics import wanted
from matching.main import service as matching
from pydantic import SecretStr
from registration.main import service as registration
from sojourn_contracts.access import SINK, acls, users
from sojourn_contracts.catalogue import SERVICES, consumed_by
from sojourn_contracts.grants import OWN, Grants, GrantsError, read
from survey.analysis import files
from survey.analysis.settings import EvaluationSettings
from survey.main import service as survey
from survey.sink.settings import SinkSettings

from chassis import contract, feed, manifests

CHART = Path(__file__).parent / "sojourn"
COMMAND = "make contracts"
BEGIN, END = f"<!-- the values, by `{COMMAND}` -->", "<!-- end of the values -->"
_SETTINGS = "settingsOf"
"""What begins the names of the schema's generated definitions."""


@dataclass(frozen=True)
class Component:
    """A process of the chart."""

    service: str
    """Whose image it is, and whose role at the database."""
    command: tuple[str, ...]
    settings: type[LogSettings]
    routers: tuple[APIRouter, ...] = ()
    user: str | None = None
    """At Kafka, and its consumer group; None: it does not talk to Kafka."""


COMPONENTS = {
    made.name: Component(
        made.name,
        (made.name, "serve"),
        made.settings,
        (contract.routes, feed.routes, manifests.routes(made.name, None), made.routes),
        made.name,
    )
    for made in (registration, matching, exchange, survey)
} | {
    "surveySink": Component("survey", ("survey", "sink"), SinkSettings, user=SINK),
    "surveyFiles": Component("survey", ("survey", "files"), files.FilesSettings, (files.routes,)),
    "surveyEvaluation": Component("survey", ("survey", "evaluate", "--publish"), EvaluationSettings),
}


def derived() -> dict[str, Any]:
    """What the templates take from the code."""
    return {
        "components": {name: _component(component) for name, component in COMPONENTS.items()},
        "topics": {
            name: {"partitions": topic.partitions, "config": topic.configuration} for name, topic in wanted().items()
        },
        "users": may(Grants(clients={}), OWN),
        "roles": {"migrator": {"name": MIGRATOR, "limits": limits(MIGRATOR)}}
        | {service: {"name": runtime_role(service), "limits": limits(runtime_role(service))} for service in SERVICES},
    }


def may(grants: Grants, wanted: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """What these users may do, each with the resources and the operations on it, as Strimzi names them."""
    found: dict[str, dict[tuple[str, str], list[str]]] = {user: {} for user in wanted}
    for acl in acls(grants):
        if acl.user in found:
            found[acl.user].setdefault((str(acl.kind), acl.name), []).append(str(acl.operation))
    return {
        user: [{"type": kind, "name": name, "operations": operations} for (kind, name), operations in of.items()]
        for user, of in found.items()
    }


def clients(file: Path) -> str:
    """Values with the ACLs of the clients that a file of grants has.

    Raises:
        GrantsError: it does not say what it should.
    """
    grants = read(file)
    granted = may(grants, (user for user in users(grants) if user not in OWN))
    return yaml.safe_dump({"strimzi": {"users": {"clients": granted}}}, sort_keys=False, width=120)


def _component(component: Component) -> dict[str, Any]:
    takes = set(names(component.settings))
    consumed = consumed_by(component.service) if component.user == component.service else ()
    said: dict[str, Any] = {
        "service": component.service,
        "command": list(component.command),
        "database": "DATABASE_URL" if "DATABASE_URL" in takes else "CATALOG_URL",
        "tokens": "JWKS" in takes,
        "paths": _public(component.routers),
    }
    if component.user is not None:
        said["user"] = component.user
    if consumed:
        said["partitions"] = max(topic.partitions for topic in consumed)
    return said


def names(settings: type[LogSettings]) -> list[str]:
    """The variables that these settings are read from."""
    return sorted(name.upper() for name in settings.model_fields)


def open_names(settings: type[LogSettings]) -> list[str]:
    """Those of them that may stand in a ConfigMap: their values are no secrets."""
    return sorted(name.upper() for name, field in settings.model_fields.items() if not _secret(field.annotation))


def _secret(kind: Any) -> bool:
    return kind is SecretStr or any(_secret(part) for part in get_args(kind))


def required(settings: type[LogSettings]) -> list[str]:
    """Those without which the process does not start."""
    return sorted(name.upper() for name, field in settings.model_fields.items() if field.is_required())


def _public(routers: tuple[APIRouter, ...]) -> list[str]:
    """The first parts of all paths: what a process has besides, probes and metrics, is nobody's outside."""
    return sorted({"/" + path.split("/")[1] for router in routers for path in _paths(router)})


def _paths(router: Any) -> Iterator[str]:
    for route in router.routes:
        if hasattr(route, "path"):
            yield route.path
        else:
            yield from _paths(route.original_router)


def schema(text: str) -> str:
    """The schema with the settings of today."""
    said = json.loads(text)
    definitions = {name: part for name, part in said["$defs"].items() if not name.startswith(_SETTINGS)}
    known = {name: open_names(component.settings) for name, component in COMPONENTS.items()}
    known["defaults"] = sorted(set.intersection(*map(set, known.values())))
    for name, settings in known.items():
        definitions[_SETTINGS + name[0].upper() + name[1:]] = {
            "type": "object",
            "additionalProperties": False,
            "properties": {setting: {"type": "string"} for setting in settings},
        }
    return json.dumps(said | {"$defs": definitions}, indent=2, ensure_ascii=False) + "\n"


def with_values(readme: str, values: str) -> str:
    """The README with the table of the values between its two marks."""
    before, _, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the chart's README lacks the marks {BEGIN} and {END}")
    rows = [
        "| Key | Default | |",
        "|---|---|---|",
        *(f"| `{key}` | {default} | {text} |" for key, default, text in keys(values)),
    ]
    return f"{before}{BEGIN}\n\n" + "\n".join(rows) + f"\n\n{END}{after}"


def keys(values: str) -> Iterator[tuple[str, str, str]]:
    """Each key of the text that has a comment above it: its path, its default and the comment."""
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    data = yaml.safe_load(values)
    for line in values.splitlines():
        indent = len(line) - len(line.lstrip())
        if found := re.match(r"\s*# ?(.*)", line):
            comment.append(found[1])
        elif found := re.match(r"\s*([A-Za-z][\w./-]*):(?: (.*)|$)", line):
            path = [*((at, key) for at, key in path if at < indent), (indent, found[1])]
            where = [key for _, key in path]
            if comment:
                value = _at(data, where)
                nested = isinstance(value, dict) and value and not found[2]
                yield (
                    ".".join(where),
                    "" if nested else _default(value),
                    " ".join(comment).replace("|", "\\|").replace("<", "&lt;"),
                )
            comment = []
        else:
            comment = []


def _at(data: Any, path: list[str]) -> Any:
    for key in path:
        data = data[key]
    return data


def _default(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return f"`{text}`" if len(text) <= 60 else "see there"


def written(chart: Path = CHART) -> Mapping[Path, str]:
    """What the files are to say; hand-written parts stay as they are."""
    head = f"# Generated from the code by `{COMMAND}`.\n"
    plain = json.loads(json.dumps(derived()))  # plain strings of enums
    readme, rules = chart / "README.md", chart / "values.schema.json"
    return {
        chart / "files" / "derived.yaml": head + yaml.safe_dump(plain, sort_keys=False, width=120),
        rules: schema(rules.read_text()),
        readme: with_values(readme.read_text(), (chart / "values.yaml").read_text()),
    }


def main() -> None:
    if sys.argv[1:2] == ["clients"] and len(sys.argv) == 3:
        try:
            print(clients(Path(sys.argv[2])), end="")
        except GrantsError as error:
            raise SystemExit(str(error)) from None
        return
    for path, text in written().items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(path.relative_to(CHART.parents[2]))


if __name__ == "__main__":
    main()
