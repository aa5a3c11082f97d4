"""The contract as one HTML page, made from the AsyncAPI document and the schemas that this refers to.

It needs nothing else: no script runs, and no font, style or picture is fetched; its policy allows none. It is well-formed
XML as well.
"""

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any, cast

from sojourn_contracts.flow import diagram, flows
from sojourn_contracts.schemas import Json

STYLE = (files("sojourn_contracts") / "page.css").read_text("utf-8")
_STYLE_HASH = b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'"


def page(document: Json, schemas: Mapping[str, Json]) -> str:
    """The whole page; ``schemas`` by the references with which the document names them."""
    info = document["info"]
    sections = [
        ("connecting", "Where to connect", "".join(_server(document, name) for name in document["servers"])),
        ("flow", "Who sends and who reads what", _flow(document)),
        ("attributes", "What every event carries", _attributes(document)),
        *(
            (name, channel["address"], _channel(document, name, schemas))
            for name, channel in document["channels"].items()
        ),
    ]
    contents = "".join(f'<li><a href="#{code}">{escape(title)}</a></li>\n' for code, title, _ in sections)
    return (
        '<!DOCTYPE html>\n<html xmlns="http://www.w3.org/1999/xhtml" lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f"<title>{escape(info['title'])}: the events</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<a class="skip" href="#contract">To the contract</a>\n<header>\n<h1>{escape(info["title"])}: the events</h1>\n'
        f'<p>Version {escape(info["version"])}. For programs: <a href="asyncapi.yaml">asyncapi.yaml</a>, and a JSON Schema of '
        f'each event.</p>\n</header>\n<nav aria-label="Contents">\n<ul>\n{contents}</ul>\n</nav>\n<main id="contract">\n'
        f'<section id="about">\n<h2>The contract</h2>\n{prose(info["description"])}</section>\n'
        + "".join(
            f'<section id="{code}">\n<h2>{escape(title)}</h2>\n{content}</section>\n'
            for code, title, content in sections
        )
        + "</main>\n</body>\n</html>\n"
    )


def prose(text: str) -> str:
    """HTML of the Markdown that the contract's texts use: paragraphs, headings, lists of one level, code, what is strong."""
    return "".join(_block(block) for block in re.split(r"\n\s*\n", text.strip()))


def _block(block: str) -> str:
    if block.startswith("## "):
        return f"<h3>{_inline(block.removeprefix('## '))}</h3>\n"
    if block.startswith("- "):
        items = re.split(r"\n- ", block.removeprefix("- "))
        return "<ul>\n" + "".join(f"<li>{_inline(item)}</li>\n" for item in items) + "</ul>\n"
    return f"<p>{_inline(block)}</p>\n"


def _inline(text: str) -> str:
    said = escape(" ".join(text.split()), quote=False)
    said = re.sub(r"`([^`]+)`", r"<code>\1</code>", said)
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", said)


def _server(document: Json, name: str) -> str:
    server = document["servers"][name]
    needed = [_at(document, each["$ref"]) for each in server["security"]]
    facts = [
        ("Protocol", escape(server["protocol"])),
        *(
            (f"<code>{escape(variable)}</code>", _inline(of["description"]))
            for variable, of in server["variables"].items()
        ),
        *(("Security", f"{_code(each['type'])} {_inline(each['description'])}") for each in needed),
    ]
    heading = f"<h3>{escape(server['title'])}: {_code(server['host'])}</h3>\n"
    return heading + prose(server["description"]) + _facts(facts)


def _flow(document: Json) -> str:
    sent, received = flows(document)
    rows = [
        (
            f'<a href="#{name}">{escape(channel["address"])}</a>{_planned(channel)}',
            escape(", ".join(service for service, topic in sent if topic == channel["address"])),
            escape(", ".join(reader for topic, reader in received if topic == channel["address"])),
            escape(_message(document, name)["summary"]),
        )
        for name, channel in document["channels"].items()
    ]
    table = _table("Topics", ("Event and topic", "From", "To", "Says"), rows)
    return f'<figure><div class="scroll">{diagram(document)}</div></figure>\n{table}'


def _attributes(document: Json) -> str:
    attributes = document["components"]["schemas"]["CloudEvent"]
    tombstone = document["components"]["messages"]["Tombstone"]
    return (
        _fields(attributes, "Headers of a record", "#attributes.")
        + f"<h3>{escape(tombstone['title'])}</h3>\n<p>{_inline(tombstone['summary'])}</p>\n{prose(tombstone['description'])}"
    )


def _channel(document: Json, name: str, schemas: Mapping[str, Json]) -> str:
    channel, message = document["channels"][name], _message(document, name)
    sent, received = flows(document)
    kafka = channel["bindings"]["kafka"]
    reference = message["payload"]["$ref"]
    schema = schemas[reference]
    [tag] = channel["tags"]
    facts = [
        ("Visibility", escape(tag["name"])),
        ("From", escape(", ".join(service for service, topic in sent if topic == channel["address"]))),
        ("To", escape(", ".join(reader for topic, reader in received if topic == channel["address"]) or "nobody")),
        ("Type", _code(message["name"])),
        ("Key", _inline(message["bindings"]["kafka"]["key"]["description"])),
        ("Partitions", str(kafka["partitions"])),
        ("Kept", _inline(channel["description"])),
        (
            "Settings",
            ", ".join(_code(f"{key}={_setting(value)}") for key, value in kafka["topicConfiguration"].items()),
        ),
        *((("Scope over HTTP", _code(channel["x-scope"])),) if "x-scope" in channel else ()),
        ("Schema", ", ".join(f'<a href="{path}">{version}</a>' for version, path in _versions(reference))),
    ]
    [example] = message["examples"]
    shown = json.dumps(example["payload"], indent=2, ensure_ascii=False)
    headers = "\n".join(f"{header}: {value}" for header, value in example["headers"].items())
    return (
        f"<p>{_inline(message['summary'])}{_planned(channel)}</p>\n{prose(message.get('description', ''))}{_facts(facts)}"
        + _fields(schema, f"Fields of {message['title']}", f"#{name}.")
        + "".join(_part(name, part, of) for part, of in schema.get("$defs", {}).items())
        + f'<details>\n<summary>Example of {escape(message["title"])}</summary>\n<pre tabindex="0">{escape(headers)}\n\n'
        f'{escape(shown)}</pre>\n<p><a href="examples/{escape(message["title"])}.json">As a file</a></p>\n</details>\n'
    )


def _versions(reference: str) -> list[tuple[str, str]]:
    """The version that the reference names and all minor ones before it, newest first, each with its path."""
    folder, _, version = reference.removesuffix(".json").rpartition("/")
    major, minor = version.split(".")
    return [(f"{major}.{each}", f"{folder}/{major}.{each}.json") for each in range(int(minor), -1, -1)]


def _part(channel: str, name: str, schema: Json) -> str:
    said = prose(schema.get("description", ""))
    heading = f'<h3 id="{channel}.{name}">{escape(name)}</h3>\n{said}'
    if "properties" in schema:
        return heading + _fields(schema, f"Fields of {name}", f"#{channel}.")
    return f"{heading}<p>{_kind(schema, '')}</p>\n"


def _fields(schema: Json, caption: str, parts: str) -> str:
    required = schema.get("required", [])
    rows = [
        (
            _code(name),
            _kind(about, parts) + ("" if name in required else ", optional"),
            ". ".join(_inline(about[said]) for said in ("title", "description") if said in about),
        )
        for name, about in schema["properties"].items()
    ]
    return _table(caption, ("Field", "What it is", "What it says"), rows)


def _kind(schema: Json, parts: str) -> str:
    """The values that a schema takes, in words; ``parts`` is what links to its parts begin with."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f'<a href="{parts}{name}">{escape(name)}</a>'
    if "anyOf" in schema:
        return " or ".join(_kind(each, parts) for each in schema["anyOf"])
    if "const" in schema:
        return _code(schema["const"])
    if "enum" in schema:
        return " or ".join(_code(each) for each in schema["enum"])
    kind = str(schema["type"])
    if kind == "array":
        return f"list of {_kind(schema['items'], parts)}{_bounds(schema)}"
    if isinstance(of := schema.get("additionalProperties"), dict):
        return f"object, by name: {_kind(cast(Json, of), parts)}"
    return escape(kind) + _bounds(schema)


_BOUNDS = {
    "format": " ({})",
    "minimum": ", from {}",
    "exclusiveMinimum": ", more than {}",
    "maximum": ", to {}",
    "minItems": ", at least {}",
    "maxItems": ", at most {}",
    "minLength": ", at least {} characters",
    "maxLength": ", at most {} characters",
}


def _bounds(schema: Json) -> str:
    said = "".join(text.format(escape(str(schema[name]))) for name, text in _BOUNDS.items() if name in schema)
    return said + (f", as {_code(schema['pattern'])}" if "pattern" in schema else "")


def _message(document: Json, channel: str) -> Json:
    """The channel's own message; others may stand beside it."""
    first = next(iter(document["channels"][channel]["messages"].values()))
    return _at(document, first["$ref"])


def _at(document: Json, reference: str) -> Json:
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return cast(Json, found)


def _planned(channel: Json) -> str:
    return " (planned)" if channel.get("x-planned") else ""


def _setting(value: Any) -> str:
    return ",".join(map(str, cast("list[Any]", value))) if isinstance(value, list) else str(value)


def _code(text: object) -> str:
    return f"<code>{escape(str(text), quote=False)}</code>"


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return "<dl>\n" + "".join(f"<dt>{name}</dt><dd>{said}</dd>\n" for name, said in facts) + "</dl>\n"


def _table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{each}</td>" for each in rest)}</tr>\n'
        for first, *rest in rows
    )
    return (
        f'<div class="scroll"><table>\n<caption>{escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}</tbody>\n</table></div>\n"
    )
