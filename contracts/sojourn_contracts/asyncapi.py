"""The catalogue as an AsyncAPI 3 document: channels with their Kafka settings, messages, and who sends and receives what."""

from collections.abc import Iterable, Mapping
from importlib.metadata import version

from sojourn_contracts.catalogue import SERVICES, TABLE, Topic, Visibility
from sojourn_contracts.envelope import JSON
from sojourn_contracts.schemas import Json, said

BINDING = {"bindingVersion": "0.5.0"}
CONTENT_TYPE = JSON.decode()

ABOUT = """\
The events of Sojourn, an Erasmus for small and medium-sized companies. All services stand in this one document; an operation's
tag says whose it is. Public topics are for everybody, internal ones for these services only, and those for analysts need a grant:
their records are of single people and companies, and only tables released from them are public.

Events are CloudEvents 1.0 in Kafka's binary mode: attributes in headers `ce_*`, JSON in the value, the subject's id as the key.

- Read with `isolation.level=read_committed`: then an event stands on its topic exactly once. Remember `ce_id` in the transaction
  of its effect, and it has that exactly once, too.
- Topics keep no order among each other. An event is its subject's whole state; the higher `revision` of one producer wins.
- `ce_sequence` has no holes within topic, `ce_source` and `ce_generation`: it proves that nothing is missing. It decides nothing.
- A record without a value is a tombstone: forget its subject for good, even if an older event comes later.
- Fields may come on top, and codes to lists that are strings: let pass what you do not know. Another change is another topic.
- Personal data is pseudonymous: ids are opaque, and no event holds a name, an address or a text.

What is marked `x-planned` is settled, but nobody emits it yet and its topic does not exist.
"""

ATTRIBUTES: Json = {
    "title": "CloudEvents attributes",
    "type": "object",
    "properties": {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": {"type": "string", "format": "uuid", "description": "The same on every repeat of the event."},
        "ce_source": {"type": "string", "description": "`sojourn/` and the service."},
        "ce_type": {"type": "string", "description": "The event and its major version."},
        "ce_subject": {"type": "string", "format": "uuid", "description": "What the event is about; the record's key."},
        "ce_time": {"type": "string", "format": "date-time", "description": "Programme time."},
        "ce_dataschema": {
            "type": "string",
            "description": "The schema, with its minor version, of who emitted the event.",
        },
        "ce_sequence": {
            "type": "string",
            "pattern": "^[0-9]{1,18}$",
            "description": "From 1 on without holes, within topic, source and generation; with zeros, so that text sorts alike.",
        },
        "ce_generation": {
            "type": "string",
            "pattern": "^[0-9]{1,18}$",
            "description": "Of the source's log: a restore from a backup raises it.",
        },
        "ce_correlationid": {"type": "string", "description": "What it all began with."},
        "ce_causationid": {"type": "string", "description": "`ce_id` of the event that this one follows from."},
        "ce_traceparent": {"type": "string", "description": "Where it was emitted: W3C Trace Context, as CloudEvents has it."},
        "traceparent": {"type": "string", "description": "The same, where tracing tools look for it."},
        "content-type": {"type": "string", "const": CONTENT_TYPE},
    },
    "required": [
        "ce_specversion",
        "ce_id",
        "ce_source",
        "ce_type",
        "ce_subject",
        "ce_time",
        "ce_dataschema",
        "ce_sequence",
        "ce_generation",
        "content-type",
    ],
}

TAGS: dict[str, str] = {
    Visibility.PUBLIC: "For every subscriber.",
    Visibility.ANALYSTS: "For analysts, each by a grant; not public.",
    Visibility.INTERNAL: "Between these services.",
}


def document(examples: Mapping[str, Json]) -> Json:
    """The whole document; ``examples`` are the canonical ones by event. Payloads refer to ``published/`` next to it."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:sojourn",
        "info": {
            "title": "Sojourn",
            "version": version("sojourn-contracts"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0"},
            "tags": [{"name": name, "description": text} for name, text in TAGS.items()] + _tags(SERVICES),
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "variables": {"bootstrap": {"description": "An installation's `KAFKA_BOOTSTRAP_SERVERS`."}},
            }
        },
        "channels": {topic.name: _channel(topic) for topic in TABLE},
        "operations": {
            f"{service}{verb}{_id(topic)}": _operation(service, action, topic)
            for service in SERVICES
            for verb, action, topics in (
                ("Sends", "send", [topic for topic in TABLE if service in topic.producers]),
                ("Receives", "receive", [topic for topic in TABLE if service in topic.consumers]),
            )
            for topic in topics
        },
        "components": {
            "messages": {_id(topic): _message(topic, examples[topic.event.__name__]) for topic in TABLE},
            "schemas": {"CloudEvent": ATTRIBUTES},
        },
    }


def _channel(topic: Topic) -> Json:
    settings: Json = {
        name: [value] if name == "cleanup.policy" else int(value) for name, value in topic.configuration.items()
    }
    kafka = {"topic": topic.name, "partitions": topic.partitions, "topicConfiguration": settings}
    return {
        "address": topic.name,
        "messages": {_id(topic): {"$ref": f"#/components/messages/{_id(topic)}"}},
        "tags": _tags([topic.visibility]),
        "bindings": {"kafka": kafka | BINDING},
        **_planned(topic),
    }


def _message(topic: Topic, example: Json) -> Json:
    event = topic.event
    summary, _, more = said(event).partition("\n\n")
    key = {"type": "string", "format": "uuid", "description": f"The event's `{topic.key}`."}
    return {
        "name": event.type(),
        "title": event.__name__,
        "summary": summary,
        **({"description": more} if more else {}),
        "contentType": CONTENT_TYPE,
        "headers": {
            "type": "object",
            "allOf": [{"$ref": "#/components/schemas/CloudEvent"}],
            "properties": {
                "ce_source": {"type": "string", "enum": [f"sojourn/{producer}" for producer in topic.producers]},
                "ce_type": {"type": "string", "const": event.type()},
                "ce_dataschema": {
                    "type": "string",
                    "pattern": f"^urn:sojourn:schema:{event.__name__}:{event.major}\\.[0-9]+$",
                },
            },
        },
        "payload": {"$ref": f"./published/{event.__name__}/{event.major}.{event.minor}.json"},
        "correlationId": {"location": "$message.header#/ce_correlationid"},
        "tags": _tags([topic.visibility]),
        "bindings": {"kafka": {"key": key} | BINDING},
        "examples": [{"name": "canonical", "headers": example["headers"], "payload": example["value"]}],
    }


def _operation(service: str, action: str, topic: Topic) -> Json:
    group: Json = {"groupId": {"type": "string", "const": service}} if action == "receive" else {}
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{_id(topic)}"}],
        "tags": _tags([service]),
        "bindings": {"kafka": {**group, "clientId": {"type": "string", "const": _client(service, action)}} | BINDING},
        **_planned(topic),
    }


def _client(service: str, action: str) -> str:
    return f"{service}.relay" if action == "send" else service


def _id(topic: Topic) -> str:
    """Name of the topic's message, and the end of its operations' names."""
    return topic.name.replace(".", "_")


def _planned(topic: Topic) -> Json:
    return {"x-planned": True} if topic.planned else {}


def _tags(names: Iterable[str]) -> list[Json]:
    return [{"name": name} for name in names]
