"""What CloudEvents' own SDK makes of records and of a batch; see test_cloudevents.py."""

import json
import sys
from typing import Any

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event, to_binary_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent


def decoded(record: dict[str, Any]) -> Any:
    headers = {name: text.encode() for name, text in record["headers"].items()}
    return from_binary_event(KafkaMessage(headers, record["key"], (record["value"] or "").encode()))


def encoded(event: Any) -> dict[str, Any]:
    message = to_binary_event(event)
    headers = {name: text.decode() for name, text in message.headers.items()}
    return {"headers": headers, "value": message.value.decode()}


def varied(event: Any) -> Any:
    attributes = event.get_attributes()
    more = {
        "datacontenttype": "application/json; charset=utf-8",
        "sequence": int(attributes["sequence"]),
        "tenant": True,
    }
    return CloudEvent({**attributes, **more}, event.get_data())


def as_json(event: Any) -> Any:
    return json.loads(JSONFormat().write(event))


given = json.load(sys.stdin)
events = [decoded(record) for record in given["records"]]
batch = [JSONFormat().read(None, json.dumps(each)) for each in given["batch"]]
said = {
    "events": [as_json(event) for event in events],
    "tombstone": as_json(decoded(given["tombstone"])),
    "again": [encoded(event) for event in events],
    "varied": [encoded(varied(event)) for event in events],
    "batch": [as_json(event) for event in batch],
}
json.dump(said, sys.stdout)
