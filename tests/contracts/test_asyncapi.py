"""``asyncapi.yaml`` is a valid document, and says of each topic what the catalogue says.

``asyncapi-3.0.0.json`` is the official schema of such documents (package ``@asyncapi/specs`` 6.11.1, Copyright 2016-2025 AsyncAPI
Initiative, Apache-2.0), unchanged but for its line breaks.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator
from sojourn_contracts.catalogue import BY_NAME, SERVICES, TABLE, TOPICS, Cleanup, Topic, Visibility
from sojourn_contracts.grants import Grants
from sojourn_contracts.schemas import published

from tests.conftest import REPOSITORY
from tests.contracts.examples import EXAMPLES

CONTRACTS = REPOSITORY / "contracts"
DOCUMENT: dict[str, Any] = yaml.safe_load((CONTRACTS / "asyncapi.yaml").read_text())
OFFICIAL = Draft7Validator(json.loads((Path(__file__).parent / "asyncapi-3.0.0.json").read_text()))
ALL = pytest.mark.parametrize("topic", TABLE, ids=lambda topic: topic.name)


def errors(document: dict[str, Any]) -> list[str]:
    return [f"{error.json_path}: {error.message}"[:300] for error in OFFICIAL.iter_errors(document)]


def at(reference: str) -> Any:
    """What a reference within the document or to a file next to it leads to."""
    if not reference.startswith("#/"):
        return json.loads((CONTRACTS / reference).read_text())
    found: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def references(part: Any) -> list[str]:
    if isinstance(part, list):
        return [each for element in part for each in references(element)]
    if isinstance(part, dict):
        here = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return here + [each for element in part.values() for each in references(element)]
    return []


def message(name: str) -> dict[str, Any]:
    return DOCUMENT["components"]["messages"][name]


def test_the_document_is_valid_by_the_official_schema():
    assert errors(DOCUMENT) == []


def test_a_document_that_breaks_the_official_schema_is_seen():
    channel = DOCUMENT["channels"]["MatchProposed"]
    broken = {**channel, "bindings": {"kafka": {**channel["bindings"]["kafka"], "partitions": "six"}}}
    assert errors({**DOCUMENT, "channels": {**DOCUMENT["channels"], "MatchProposed": broken}})
    assert errors({**DOCUMENT, "operations": {"nobodySends": {"action": "shout"}}})


def test_every_reference_leads_somewhere():
    found = references(DOCUMENT)
    assert len(found) > 3 * len(TABLE)
    for reference in found:
        assert at(reference)


@ALL
def test_a_channel_has_the_topics_kafka_settings_and_its_visibility(topic):
    channel = DOCUMENT["channels"][topic.name]
    kafka = channel["bindings"]["kafka"]
    settings = {
        name: value[0] if isinstance(value, list) else str(value) for name, value in kafka["topicConfiguration"].items()
    }
    assert (channel["address"], kafka["topic"], kafka["partitions"]) == (topic.name, topic.name, topic.partitions)
    assert settings == topic.configuration
    assert channel["tags"] == [{"name": topic.visibility.value}]
    assert channel.get("x-planned", False) is topic.planned


def security(server: str) -> dict[str, Any]:
    [scheme] = DOCUMENT["servers"][server]["security"]
    return at(scheme["$ref"])


def test_kafka_wants_a_scram_user_over_tls():
    assert DOCUMENT["servers"]["kafka"]["protocol"] == "kafka-secure"
    assert security("kafka")["type"] == "scramSha512"


def test_the_feed_wants_a_token_for_a_clients_credentials_with_a_scope_for_each_topic_that_may_be_granted():
    assert DOCUMENT["servers"]["feed"]["protocol"] == "https"
    told = security("feed")
    flow = told["flows"]["clientCredentials"]
    assert (told["type"], list(told["flows"])) == ("oauth2", ["clientCredentials"])
    assert flow["tokenUrl"].endswith("/token")
    grants = Grants.model_validate({"clients": {"all": {"scopes": list(flow["availableScopes"])}}})
    assert grants.scopes("all") == {
        f"events:{topic.name}" for topic in TOPICS if topic.visibility is not Visibility.INTERNAL
    }


@ALL
def test_a_topic_is_on_the_feed_under_a_scope_of_its_own_unless_it_is_internal(topic):
    channel = DOCUMENT["channels"][topic.name]
    servers = [each["$ref"].removeprefix("#/servers/") for each in channel["servers"]]
    asked = [
        operation["bindings"].get("http", {}).get("query", {}).get("properties", {}).get("topics", {}).get("const")
        for operation in DOCUMENT["operations"].values()
        if operation["channel"]["$ref"] == f"#/channels/{topic.name}" and operation["action"] == "send"
    ]
    if topic.visibility is Visibility.INTERNAL:
        assert (servers, "x-scope" in channel, set(asked)) == (["kafka"], False, {None})
    else:
        assert (servers, channel["x-scope"]) == (["kafka", "feed"], f"events:{topic.name}")
        assert asked == [topic.name] * len(topic.producers)


def test_only_a_public_topic_is_said_to_be_asked_for_together_with_others():
    for operation in DOCUMENT["operations"].values():
        if asked := operation["bindings"].get("http"):
            topics = asked["query"]["properties"]["topics"]
            public = BY_NAME[topics["const"]].visibility is Visibility.PUBLIC
            assert ("several" in topics["description"]) is public


@ALL
def test_a_tombstone_is_a_message_of_every_compacted_topic_and_of_no_other(topic):
    channel = DOCUMENT["channels"][topic.name]
    tombstone = {"Tombstone"} if topic.cleanup is Cleanup.COMPACT else set[str]()
    assert set(channel["messages"]) == {topic.event.__name__} | tombstone
    for operation in DOCUMENT["operations"].values():
        if operation["channel"]["$ref"] == f"#/channels/{topic.name}":
            assert [at(each["$ref"]) for each in operation["messages"]] == list(channel["messages"].values())
    assert message("Tombstone")["payload"] == {"type": "null"}


def test_a_record_without_a_value_is_a_tombstone_by_the_documents_own_schemas():
    [shown] = message("CompanyUpdated")["examples"]
    told = message("Tombstone")
    Draft202012Validator(told["payload"]).validate(None)
    Draft202012Validator({**told["headers"], "components": DOCUMENT["components"]}).validate(shown["headers"])
    assert not Draft202012Validator(told["payload"]).is_valid(shown["payload"])


def test_the_days_that_the_text_promises_are_those_of_the_topics_settings():
    day = 86_400_000
    for topic in TABLE:
        settings, kept = DOCUMENT["channels"][topic.name]["bindings"]["kafka"]["topicConfiguration"], said_of(topic)
        if topic.cleanup is Cleanup.DELETE:
            assert f"kept for {settings['retention.ms'] // day} days." in kept
        else:
            whole, gone = settings["min.compaction.lag.ms"], settings["delete.retention.ms"]
            assert f"kept for {whole // day} days, and the newest of each key for good" in kept
            assert f"a tombstone for at least {(whole + gone) // day} days." in kept
            about = " ".join(DOCUMENT["info"]["description"].split())
            assert f"keeps each record for {whole // day} days" in about
            assert f"On a topic it stays for {(whole + gone) // day} days at least" in about


def said_of(topic: Topic) -> str:
    return DOCUMENT["channels"][topic.name]["description"]


def test_who_sends_and_who_receives_is_what_the_catalogue_says():
    told = {
        (operation["tags"][0]["name"], operation["action"], at(operation["channel"]["$ref"])["address"])
        for operation in DOCUMENT["operations"].values()
    }
    catalogue = {(service, "send", topic.name) for topic in TABLE for service in topic.producers}
    catalogue |= {(service, "receive", topic.name) for topic in TABLE for service in topic.consumers}
    assert told == catalogue
    assert len(DOCUMENT["operations"]) == len(catalogue)


def test_operations_are_planned_where_their_topic_is():
    for operation in DOCUMENT["operations"].values():
        channel = at(operation["channel"]["$ref"])
        assert operation.get("x-planned", False) is channel.get("x-planned", False)
        if operation["action"] == "receive":
            assert operation["bindings"]["kafka"]["groupId"]["const"] in SERVICES


@ALL
def test_a_messages_key_is_the_events_id_and_its_payload_the_published_schema(topic):
    told = message(topic.event.__name__)
    assert told["name"] == topic.event.type()
    assert f"`{topic.key}`" in told["bindings"]["kafka"]["key"]["description"]
    assert at(told["payload"]["$ref"])["$id"] == f"/contracts/{published(topic.event)}"
    assert told["tags"] == [{"name": topic.visibility.value}]


@ALL
def test_a_messages_example_is_the_canonical_one_and_valid_by_the_documents_own_schemas(topic):
    told = message(topic.event.__name__)
    [shown] = told["examples"]
    canonical = json.loads((EXAMPLES / f"{topic.event.__name__}.json").read_text())
    assert (shown["headers"], shown["payload"]) == (canonical["headers"], canonical["value"])
    Draft202012Validator(at(told["payload"]["$ref"])).validate(shown["payload"])
    headers(topic.event.__name__).validate(shown["headers"])


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("ce_type", "MatchDeclined.v1"),
        ("ce_source", "sojourn/matching"),
        ("ce_dataschema", "urn:sojourn:schema:NoticeDue:2.0"),
        ("ce_sequence", "one"),
        ("content-type", "application/xml"),
        ("ce_id", None),
    ],
)
def test_headers_of_another_event_are_refused(header, text):
    [shown] = message("NoticeDue")["examples"]
    changed = {name: value for name, value in (shown["headers"] | {header: text}).items() if value is not None}
    assert not headers("NoticeDue").is_valid(changed)


def test_headers_of_a_later_minor_version_pass():
    [shown] = message("NoticeDue")["examples"]
    headers("NoticeDue").validate(shown["headers"] | {"ce_dataschema": "urn:sojourn:schema:NoticeDue:1.12"})


def headers(name: str) -> Draft202012Validator:
    """The validator of a message's headers; their schema refers to another one of the document."""
    return Draft202012Validator({**message(name)["headers"], "components": DOCUMENT["components"]})
