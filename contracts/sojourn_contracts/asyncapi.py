"""The catalogue as an AsyncAPI 3 document: channels with their Kafka settings, messages, and who sends and receives what."""

from collections.abc import Iterable, Mapping
from importlib.metadata import version

from sojourn_contracts.catalogue import (
    INTERNAL_RETENTION,
    SERVICES,
    STANDS_WHOLE,
    TABLE,
    TOMBSTONES_STAY,
    Cleanup,
    Topic,
    Visibility,
)
from sojourn_contracts.envelope import JSON
from sojourn_contracts.grants import SCOPE, scope_of
from sojourn_contracts.schemas import Json, published, said

BINDING = {"bindingVersion": "0.5.0"}
CONTENT_TYPE = JSON.decode()

_TOMBSTONES_STAY = (STANDS_WHOLE + TOMBSTONES_STAY).days

ABOUT = f"""\
The events of Sojourn, an Erasmus for small and medium-sized companies, for systems that subscribe. All services stand in
this one document; an operation's tag says whose it is. Events are CloudEvents 1.0: on Kafka in binary mode, with attributes
in headers `ce_*`, JSON in the value, and the subject's id as the key.

## Who may read what

A client reads what it was granted: as a user at the broker, or over HTTP by the scopes of its token.

- **public** topics are for everybody who subscribes.
- **analysts**: records of single people and companies. They are granted by name; only tables released from them are public.
- **internal** topics are between these services. They are in this document since they are part of the system, and nobody
  else is ever granted them.

## What is promised

- **Nothing is lost.** An event is committed together with what it tells, and is published afterwards, whatever is killed
  in between.
- **Nothing is doubled.** With `isolation.level=read_committed` an event stands on its topic exactly once. Your own crash may
  show it to you again, with the same `ce_id`: remember that in the transaction of its effect, and it has the effect exactly
  once, too.
- **In order, by key.** The events of one key on one topic come in the order in which they happened. Topics keep no order
  among each other: of two states of one subject by one producer, the higher `revision` is the later one, wherever they come
  from.
- **Whole.** An event is its subject's whole state, not a difference to what came before.
- **Provably complete.** `ce_sequence` has no holes within topic, `ce_source` and `ce_generation`. It decides nothing else.
  A restore from a backup begins a new generation, so that numbers which come again are not taken for repeats. For each hour a
  signed manifest says which numbers there were, and the digest of their ids: `sojourn-contracts verify` names what is missing.
- **There from the start.** Every topic but the internal ones keeps each record for {STANDS_WHOLE.days} days, and the newest
  of each key for good: who comes late reads it from the beginning and has the present state. Numbers that are missing there
  were compacted.
- **Forgotten when erased.** A record without a value is a tombstone: forget its subject for good, even if an older event
  comes later. On a topic it stays for {_TOMBSTONES_STAY} days at least, over HTTP for good. Who was away for longer
  begins anew, with nothing in store.

## What is not

- How soon. Usually an event is on its topic within a second; while Kafka is away, it waits.
- That `revision` has no holes, or that an event follows from one that you have seen.
- That `ce_time` is the time of day: it is the programme's time. The record's own timestamp is when it was published.

## What may change

- Optional fields come on top, and codes come on top of lists that are strings: let pass what you do not know. The schema is
  then a new minor version beside the older ones.
- Anything else is another event, `<Event>.v2`, on a topic of its own. Both are written until every subscriber has moved.
- What `ce_dataschema` names as `urn:sojourn:schema:<Event>:<version>`, every service has at
  `/contracts/published/<Event>/<version>.json`.
- What is marked `x-planned` is settled, but nobody emits it yet and its topic does not exist.

## Personal data

Ids are opaque, and no event holds a name, an address or a text. The data is pseudonymous, not anonymous: whoever keeps it
answers for it, and for forgetting what a tombstone says.
"""

KAFKA = """\
TLS, and a user of your own. What `make up` starts on one machine, to try it out, listens on a loopback address without TLS.

- The consumer group is named like the user.
- Read with `isolation.level=read_committed`, and `auto.offset.reset=earliest`.
"""

FEED = """\
The same events without Kafka, with the same ids and in the same order, from the service that emits them. A topic's `x-scope` is
the scope that the token needs. Parameters and answers are in each service's own `/openapi.json`.

- `GET /events?topics=A,B` is a page, as a CloudEvents JSON batch, with a `Link` to the next one.
- `GET /events/stream` is the same as Server-Sent Events, resumed by `Last-Event-ID`.
- `GET /events/snapshot?topics=A` is the newest event of each key, and the cursor to continue from.
- A topic for analysts is read by itself. A cursor that the log does not hold, since it was restored, is a 410: begin anew.
- A tombstone has no `data`, and neither has any earlier event of a subject that was erased since.
"""

USER: Json = {"type": "scramSha512", "description": "A user at the broker, with a password."}

ATTRIBUTES: Json = {
    "title": "CloudEvents attributes",
    "type": "object",
    "properties": {
        "ce_specversion": {"type": "string", "const": "1.0", "description": "Of CloudEvents."},
        "ce_id": {"type": "string", "format": "uuid", "description": "The same on every repeat of the event."},
        "ce_source": {"type": "string", "description": "`sojourn/` and the service."},
        "ce_type": {"type": "string", "description": "The event and its major version."},
        "ce_subject": {"type": "string", "format": "uuid", "description": "What the event is about; the record's key."},
        "ce_time": {"type": "string", "format": "date-time", "description": "Programme time."},
        "ce_dataschema": {
            "type": "string",
            "description": "The schema of the value, with its minor version: `urn:sojourn:schema:<Event>:<version>`.",
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
        "ce_traceparent": {
            "type": "string",
            "description": "Where it was emitted: W3C Trace Context, as CloudEvents has it.",
        },
        "traceparent": {"type": "string", "description": "The same, where tracing tools look for it."},
        "content-type": {"type": "string", "const": CONTENT_TYPE, "description": "Of the value."},
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

TOMBSTONE = "Tombstone"
ERASED: Json = {
    "name": TOMBSTONE,
    "title": TOMBSTONE,
    "summary": "The subject is erased: forget what is kept under the key, for good.",
    "description": "A record without a value, with the attributes of the topic's event. It stands in for every event of its key.",
    "headers": {"$ref": "#/components/schemas/CloudEvent"},
    "payload": {"type": "null"},
    "correlationId": {"location": "$message.header#/ce_correlationid"},
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
                "protocol": "kafka-secure",
                "title": "Kafka",
                "description": KAFKA,
                "variables": {"bootstrap": {"description": "An installation's `KAFKA_BOOTSTRAP_SERVERS`."}},
                "security": [{"$ref": "#/components/securitySchemes/user"}],
            },
            "feed": {
                "host": "{service}",
                "protocol": "https",
                "title": "HTTP",
                "description": FEED,
                "variables": {
                    "service": {"description": "Where an installation has the service that emits the events."}
                },
                "security": [{"$ref": "#/components/securitySchemes/token"}],
            },
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
            "messages": {_id(topic): _message(topic, examples[topic.event.__name__]) for topic in TABLE}
            | {TOMBSTONE: ERASED},
            "schemas": {"CloudEvent": ATTRIBUTES},
            "securitySchemes": {"user": USER, "token": _token()},
        },
    }


def _channel(topic: Topic) -> Json:
    settings: Json = {
        name: [value] if name == "cleanup.policy" else int(value) for name, value in topic.configuration.items()
    }
    kafka = {"topic": topic.name, "partitions": topic.partitions, "topicConfiguration": settings}
    scope: Json = {} if scope_of(topic) is None else {"x-scope": scope_of(topic)}
    return {
        "address": topic.name,
        "title": topic.name,
        "description": kept(topic),
        "servers": [{"$ref": f"#/servers/{server}"} for server in ("kafka", *(["feed"] if scope else []))],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _messages(topic)},
        "tags": _tags([topic.visibility]),
        "bindings": {"kafka": kafka | BINDING},
        **scope,
        **_planned(topic),
    }


def kept(topic: Topic) -> str:
    """How long a topic's records stay, in words."""
    if topic.cleanup is Cleanup.DELETE:
        return f"Every record is kept for {INTERNAL_RETENTION.days} days."
    return (
        f"Every record is kept for {STANDS_WHOLE.days} days, and the newest of each key for good; a tombstone for at least "
        f"{_TOMBSTONES_STAY} days."
    )


def _token() -> Json:
    scopes = [scope for topic in TABLE if not topic.planned and (scope := scope_of(topic)) is not None]
    return {
        "type": "oauth2",
        "description": (
            "A bearer token for a client with a secret, good for some minutes at every service. "
            "`registration.example` is wherever an installation has registration."
        ),
        "flows": {
            "clientCredentials": {
                "tokenUrl": "https://registration.example/token",
                "availableScopes": {scope: f"The topic {scope.removeprefix(SCOPE)}." for scope in scopes},
            }
        },
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
        "payload": {"$ref": f"./{published(event)}"},
        "correlationId": {"location": "$message.header#/ce_correlationid"},
        "tags": _tags([topic.visibility]),
        "bindings": {"kafka": {"key": key} | BINDING},
        "examples": [{"name": "canonical", "headers": example["headers"], "payload": example["value"]}],
    }


def _operation(service: str, action: str, topic: Topic) -> Json:
    group: Json = {"groupId": {"type": "string", "const": service}} if action == "receive" else {}
    kafka = {**group, "clientId": {"type": "string", "const": _client(service, action)}} | BINDING
    over_http = action == "send" and scope_of(topic) is not None
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "title": f"{service} {action}s {topic.name}",
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{name}"} for name in _messages(topic)],
        "tags": _tags([service]),
        "bindings": {"kafka": kafka, **({"http": _asked(topic)} if over_http else {})},
        **_planned(topic),
    }


def _asked(topic: Topic) -> Json:
    """How the producer is asked for a page of this topic."""
    public = topic.visibility is Visibility.PUBLIC
    query = {
        "type": "object",
        "required": ["topics"],
        "properties": {
            "topics": {
                "type": "string",
                "const": topic.name,
                "description": "It, or several public ones with commas between them."
                if public
                else "It, and no other.",
            },
            "after": {
                "type": "string",
                "description": "The cursor up to which events were read; none for the beginning.",
            },
        },
    }
    return {"method": "GET", "query": query, "bindingVersion": "0.3.0"}


def _client(service: str, action: str) -> str:
    return f"{service}.relay" if action == "send" else service


def _messages(topic: Topic) -> tuple[str, ...]:
    """Names of the topic's messages; where the newest of each key stays for good, one may erase it."""
    return (_id(topic), TOMBSTONE) if topic.cleanup is Cleanup.COMPACT else (_id(topic),)


def _id(topic: Topic) -> str:
    """Name of the topic's message, and the end of its operations' names."""
    return topic.name.replace(".", "_")


def _planned(topic: Topic) -> Json:
    return {"x-planned": True} if topic.planned else {}


def _tags(names: Iterable[str]) -> list[Json]:
    return [{"name": name} for name in names]
