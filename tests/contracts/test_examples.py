"""The canonical examples are what the contract says, and nothing that a reader could be misled by."""

import json
from datetime import timedelta
from uuid import UUID

import pytest
from sojourn_contracts import catalogue
from sojourn_contracts.envelope import decode, encode
from sojourn_contracts.skills import SKILLS
from survey.questionnaires.published import newest

from tests.contracts.examples import EXAMPLES, NAMES, example


def test_each_event_has_one_example():
    assert set(NAMES) == set(catalogue.BY_NAME)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_read_and_written_again_as_it_was(name):
    given = example(name)
    key, value, headers = encode(decode(*given.record))
    assert key.decode() == given.key
    assert json.loads(value or b"null") == given.value
    assert {header: text.decode() for header, text in headers} == given.headers


@pytest.mark.parametrize("name", NAMES)
def test_an_examples_attributes_agree_with_the_catalogue(name):
    given, topic = example(name), catalogue.BY_NAME[name]
    envelope = decode(*given.record)
    assert envelope.event is topic.event
    assert envelope.source in {f"sojourn/{producer}" for producer in topic.producers}
    assert given.key == str(envelope.subject) == given.value[topic.key]
    assert given.headers["ce_dataschema"] == topic.event.dataschema()
    assert envelope.time.utcoffset() == timedelta(0)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_shows_every_field(name):
    assert set(example(name).value) == set(catalogue.BY_NAME[name].event.model_fields)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"SurveySubmitted"}))
def test_ids_of_events_are_sortable_by_time(name):
    envelope = decode(*example(name).record)
    assert envelope.id.version == 7
    assert envelope.id.int >> 80 == int(envelope.time.timestamp() * 1000)


def test_the_survey_example_leads_nowhere():
    envelope = decode(*example("SurveySubmitted").record)
    assert (envelope.id.version, envelope.subject.version) == (4, 4)
    assert (envelope.correlation_id, envelope.causation_id, envelope.traceparent) == (None, None, None)
    assert envelope.time.time().isoformat() == "00:00:00"
    value = example("SurveySubmitted").value
    questions = {question.code: question for question in newest().asked(value["party"], value["wave"])}
    assert value["questionnaire"] == newest().version
    for code, answer in value["answers"].items():
        assert answer in questions[code].codes


def test_one_story_runs_through_the_examples():
    agreed, completed = example("ExchangeAgreed").value, example("ExchangeCompleted").value
    proposed, drafted = example("MatchProposed").value, example("ExchangeUpdated").value
    assert proposed["match_id"] == drafted["exchange_id"] == agreed["exchange_id"] == completed["exchange_id"]
    assert drafted["revision"] < agreed["revision"] < completed["revision"]
    assert example("CompanyUpdated").value["company_id"] == agreed["sender_id"]
    assert example("CompanyRegistered").value["company_id"] == agreed["host_id"]
    [placement] = example("CompanyUpdated").value["placements"]
    [offer] = example("CompanyRegistered").value["offers"]
    assert (placement["placement_id"], offer["offer_id"]) == (agreed["placement_id"], agreed["offer_id"])
    assert placement["window"]["first"] <= proposed["window"]["first"] <= agreed["first_day"]
    assert offer["window"]["first"] <= proposed["window"]["first"]


def test_a_notice_is_answered_and_an_erasure_done_under_the_id_they_were_asked_for_with():
    for request, answered in (("NoticeDue", "NoticeSent"), ("ErasureRequested", "ErasureDone")):
        assert example(request).key == example(answered).key
        assert example(answered).headers["ce_causationid"] == example(request).headers["ce_id"]
        assert example(answered).headers["ce_correlationid"] == example(request).headers["ce_correlationid"]


@pytest.mark.parametrize("name", NAMES)
def test_skills_are_in_the_taxonomy(name):
    def skills(value: object, field: str = "") -> set[str]:
        if isinstance(value, dict):
            return set().union(*(skills(part, key) for key, part in value.items()))
        if isinstance(value, list):
            return set().union(*(skills(part, field) for part in value))
        return {str(value)} if field.startswith("skills") or field in ("traveller_learns", "host_gains") else set()

    assert skills(example(name).value) <= SKILLS.keys()


def test_ids_of_subjects_are_ids_of_one_thing_only():
    owners: dict[str, set[str]] = {}
    for name in NAMES:
        for field, value in example(name).value.items():
            if field.endswith("_id") and UUID(value):
                owners.setdefault(value, set()).add(field)
    allowed = [
        {"match_id", "exchange_id"},
        {"company_id", "sender_id"},
        {"company_id", "host_id"},
        {"company_id", "erased_id"},
        {"traveller_id", "recipient_id"},
    ]
    assert [fields for fields in owners.values() if len(fields) > 1 and fields not in allowed] == []


def test_examples_are_formatted_alike():
    for path in EXAMPLES.glob("*.json"):
        text = path.read_text()
        assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
