"""What decoding lets pass, and what it says about the rest."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sojourn_contracts import catalogue
from sojourn_contracts.envelope import Envelope, Malformed, UnknownType, UnknownVersion, decode, encode

from tests.contracts.examples import NAMES, Example, example

COMPANY = example("CompanyUpdated")


def refusal(given: Example) -> Malformed:
    with pytest.raises(Malformed) as refused:
        decode(*given.record)
    return refused.value


def test_unknown_fields_pass_and_are_kept_at_every_depth():
    newer = COMPANY.but("founded", value=1987).but("placements", 0, "window", "flexible", value={"days": [1, 2.5]})
    envelope = decode(*newer.record)
    _, value, _ = encode(envelope)
    assert json.loads(value or b"") == newer.value


def test_unknown_fields_may_have_any_name():
    newer = COMPANY
    for name in ("subject", "key", "model_config", "model_dump_json", "__class__", "_private", "", "Ünïcode"):
        newer = newer.but(name, value=[None])
    envelope = decode(*newer.record)
    assert envelope.data is not None
    assert envelope.data.subject == UUID(COMPANY.key)
    assert json.loads(encode(envelope)[1] or b"") == newer.value


def test_headers_of_others_are_left_alone():
    value, headers = COMPANY.record
    assert decode(value, [*headers, ("b3", b"\xff\x00"), ("ce", b"\xfe")]) == decode(value, headers)


@pytest.mark.parametrize("name", NAMES)
def test_each_missing_field_is_named(name):
    event = catalogue.BY_NAME[name].event
    for field, about in event.model_fields.items():
        if about.is_required():
            refused = refusal(example(name).without(field))
            assert (refused.path, refused.reason) == (f"data.{field}", "Field required")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("revision",), 0),
        (("revision",), "two"),
        (("country",), "Germany"),
        (("size_class",), "tiny"),
        (("company_id",), "42"),
        (("languages", 1, "level"), "D1"),
        (("placements", 0, "window", "last"), "2026-13-01"),
        (("placements", 0, "window"), None),
        (("placements", 0, "min_days"), 13),
        (("placements", 0, "max_days"), 63),
        (("placements", 0, "skills_sought", 1), "No Such Shape"),
        (("offers",), {}),
    ],
)
def test_a_wrong_field_is_named_by_its_path(path, value):
    assert refusal(COMPANY.but(*path, value=value)).path == ".".join(map(str, ("data", *path)))


def test_a_contradiction_is_named_by_the_part_that_holds_it():
    refused = refusal(COMPANY.but("placements", 0, "window", "last", value="2026-01-01"))
    assert (refused.path, "before the first" in refused.reason) == ("data.placements.0.window", True)
    assert refusal(COMPANY.but("placements", 0, "max_days", value=14)).path == "data.placements.0"


@pytest.mark.parametrize("value", ["anna@example.org", "12 High Street", "", "x" * 65, "Zoë"])
def test_a_notice_carries_no_address_and_no_text(value):
    assert refusal(example("NoticeDue").but("parameters", "about", value=value)).path == "data.parameters.about"


def test_a_path_is_short_however_long_the_names_are():
    refused = refusal(example("SurveySubmitted").but("answers", "Q" * 100_000, value=None))
    assert refused.path.startswith("data.answers.QQQ")
    assert len(refused.path) == 200


@pytest.mark.parametrize("value", [b"", b"{", b"\xff\xfe", b"[]", b'"text"', b"null", b"[" * 100_000, b"9" * 10_000])
def test_data_that_is_no_json_object_is_refused(value):
    with pytest.raises(Malformed) as refused:
        decode(value, COMPANY.record[1])
    assert refused.value.path == "data"


@pytest.mark.parametrize(
    "type_", ["Company", "Nope.v1", "CompanyUpdated", "companyupdated.v1", "CompanyUpdated.v1\n", "x"]
)
def test_an_unknown_type_is_an_error_of_its_own(type_):
    refused = refusal(COMPANY.headed(ce_type=type_))
    assert (type(refused), refused.path) == (UnknownType, "ce_type")


@pytest.mark.parametrize("version", ["2", "11", "9" * 5000])
def test_an_unknown_version_is_an_error_of_its_own(version):
    refused = refusal(COMPANY.headed(ce_type=f"CompanyUpdated.v{version}"))
    assert (type(refused), refused.path) == (UnknownVersion, "ce_type")
    assert len(str(refused)) < 300


def test_a_newer_minor_version_is_read():
    newer = COMPANY.headed(ce_dataschema="urn:sojourn:schema:CompanyUpdated:1.7").but("founded", value=1987)
    assert decode(*newer.record).event is catalogue.BY_NAME["CompanyUpdated"].event


@pytest.mark.parametrize(
    "name", ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time", "ce_sequence"]
)
def test_each_missing_header_is_named(name):
    assert refusal(COMPANY.headed(**{name: None})).path == name
    assert refusal(COMPANY.headed(**{name: ""})).path == name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ce_specversion", "0.3"),
        ("ce_id", "42"),
        ("ce_subject", "nobody"),
        ("ce_time", "yesterday"),
        ("ce_time", "2026-07-20"),
        ("ce_time", "2026-07-20T14:03:05"),
        ("ce_time", "0001-01-01T00:00:00+14:00"),
        ("ce_time", "9999-12-31T23:59:59-14:00"),
        ("ce_sequence", "-1"),
        ("ce_sequence", "1.0"),
        ("ce_sequence", "٣"),
        ("ce_sequence", "9" * 19),
        ("ce_generation", "first"),
    ],
)
def test_a_wrong_header_is_named(name, text):
    refused = refusal(COMPANY.headed(**{name: text}))
    assert (type(refused), refused.path) == (Malformed, name)


@pytest.mark.parametrize(
    "name", ["ce_id", "ce_source", "ce_correlationid", "traceparent", "tracestate", "content-type"]
)
def test_a_header_that_is_not_utf_8_is_named(name):
    value, headers = COMPANY.record
    with pytest.raises(Malformed) as refused:
        decode(value, [(header, b"\xff" if header == name else text) for header, text in [*headers, (name, b"\xff")]])
    assert (refused.value.path, refused.value.reason) == (name, "is not UTF-8 text")


def test_a_header_without_a_value_is_named():
    value, headers = COMPANY.record
    with pytest.raises(Malformed) as refused:
        decode(value, [*headers, ("ce_id", None)])  # type: ignore[list-item] - Kafka allows it
    assert refused.value.path == "ce_id"


def test_optional_headers_may_be_missing():
    traced = dict.fromkeys(("ce_traceparent", "traceparent"))
    envelope = decode(*COMPANY.headed(ce_generation=None, ce_correlationid=None, ce_causationid=None, **traced).record)
    assert (envelope.generation, envelope.correlation_id, envelope.causation_id, envelope.traceparent) == (
        1,
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("text", "fraction"),
    [
        ("2026-07-20T14:03:05Z", 0),
        ("2026-07-20t14:03:05z", 0),
        ("2026-07-20T14:03:05.5Z", 500_000),
        ("2026-07-20T14:03:05.123456789Z", 123_456),
        ("2026-07-20T16:03:05.000001+02:00", 1),
    ],
)
def test_a_time_may_have_any_form_of_rfc_3339(text, fraction):
    assert decode(*COMPANY.headed(ce_time=text).record).time == datetime(2026, 7, 20, 14, 3, 5, fraction, tzinfo=UTC)


def test_a_sequence_orders_as_text_as_it_does_as_a_number():
    written = [headers_of(replace(decode(*COMPANY.record), sequence=number))["ce_sequence"] for number in (9, 10, 100)]
    assert written == sorted(written)
    assert [decode(*COMPANY.headed(ce_sequence=text).record).sequence for text in (*written, "7")] == [9, 10, 100, 7]


def test_a_trace_stands_in_the_attribute_and_where_tracing_tools_look():
    traced = replace(decode(*COMPANY.record), traceparent=f"00-{'ab' * 16}-{'cd' * 8}-01", tracestate="a=1,b=2")
    written = headers_of(traced)
    for name, text in (("traceparent", traced.traceparent), ("tracestate", traced.tracestate)):
        assert written[name] == written[f"ce_{name}"] == text
    value, headers = COMPANY.headed(**written).record
    assert decode(value, headers) == traced


def test_who_emitted_an_event_is_believed_before_who_passed_it_on():
    passed_on = COMPANY.headed(traceparent=f"00-{'ab' * 16}-{'cd' * 8}-01", tracestate="of=another")
    assert decode(*passed_on.record).traceparent == COMPANY.headers["ce_traceparent"]
    assert decode(*passed_on.record).tracestate is None
    by_header_alone = decode(*passed_on.headed(ce_traceparent=None).record)
    assert (by_header_alone.traceparent, by_header_alone.tracestate) == (passed_on.headers["traceparent"], "of=another")


def headers_of(envelope: Envelope) -> dict[str, str]:
    return {name: text.decode() for name, text in encode(envelope)[2]}


def test_a_time_is_told_in_utc():
    envelope = decode(*COMPANY.headed(ce_time="2026-07-20T16:03:05+02:00").record)
    assert envelope.time == datetime(2026, 7, 20, 14, 3, 5, tzinfo=UTC)
    assert envelope.time.tzinfo is UTC


def test_data_about_another_subject_is_refused():
    refused = refusal(COMPANY.headed(ce_subject=str(uuid4())))
    assert refused.path == "data.company_id"
    refused = refusal(example("MatchProposed").but("match_id", value=str(uuid4())))
    assert refused.path == "data.match_id"


@pytest.mark.parametrize("name", NAMES)
def test_a_record_without_data_is_a_tombstone_if_it_has_our_headers(name):
    tombstone = decode(None, example(name).record[1])
    assert (tombstone.data, str(tombstone.subject)) == (None, example(name).key)
    key, value, headers = encode(tombstone)
    assert (key.decode(), value) == (example(name).key, None)
    assert dict(headers) == dict(example(name).record[1])


def test_a_record_without_data_and_without_our_headers_is_refused():
    with pytest.raises(Malformed) as refused:
        decode(None, [])
    assert refused.value.path == "ce_specversion"


texts = st.one_of(st.binary(max_size=40), st.text(max_size=40).map(str.encode))
names = st.sampled_from([*COMPANY.headers, "ce_generation", "ce_"])


@given(st.none() | texts, st.lists(st.tuples(names, texts), max_size=12))
def test_arbitrary_records_are_malformed_or_read(value, headers):
    read_or_refused(value, headers)


@given(st.sampled_from(NAMES), st.none() | texts, st.lists(st.tuples(names, texts), max_size=2))
def test_examples_with_arbitrary_headers_are_malformed_or_read(name, value, headers):
    sound, rest = example(name).record
    read_or_refused(sound if value is None else value, [*rest, *headers])


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
def test_examples_with_arbitrary_fields_are_malformed_or_read(data):
    given_ = example(data.draw(st.sampled_from(NAMES)))
    field = data.draw(st.sampled_from(sorted(given_.value)) | st.text(max_size=10))
    value, headers = given_.but(field, value=data.draw(anything)).record
    read_or_refused(value, headers)


def read_or_refused(value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
    """What is read can be written and read again; everything else is Malformed, never another error."""
    try:
        envelope = decode(value, headers)
    except Malformed as refused:
        assert refused.path
    else:
        assert isinstance(envelope, Envelope)
        _, written, rewritten = encode(envelope)
        assert encode(decode(written, rewritten)) == encode(envelope)
