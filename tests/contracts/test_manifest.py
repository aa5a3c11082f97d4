"""A manifest is verified as its documentation says, with nothing of ours; what is not as it was signed is refused."""

import base64
import hashlib
import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid5

import pytest
from chassis.manifests import signed
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from joserfc import jws
from joserfc.jwk import OKPKey
from pydantic import ValidationError
from sojourn_contracts import catalogue
from sojourn_contracts.manifest import (
    Disputed,
    Distrusted,
    ManifestIssued,
    SurveyManifestIssued,
    check,
    id_of,
    trusted_keys,
)

from tests.conftest import REPOSITORY
from tests.contracts.examples import example

GUIDE = (REPOSITORY / "docs" / "subscribers.md").read_text()
DOCUMENTS = [json.loads(line) for line in re.findall(r"^(\{\"keys\":.*)$", GUIDE, re.MULTILINE)]
KEYS = trusted_keys(*DOCUMENTS)
OF = pytest.mark.parametrize(
    ("kind", "covered"), [(ManifestIssued, "CompanyUpdated"), (SurveyManifestIssued, "SurveySubmitted")]
)
KEY = OKPKey.generate_key("Ed25519", auto_kid=True)
OURS = trusted_keys({"keys": [KEY.as_dict(private=False) | {"source": "sojourn/exchange"}]})


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def a_manifest(**changes) -> ManifestIssued:
    said = {
        "topic_name": "MatchDeclined",
        "source": "sojourn/exchange",
        "generation": 1,
        "hour": datetime(2026, 3, 2, 12, tzinfo=UTC),
        "first_sequence": 7,
        "last_sequence": 9,
        "digest": hashlib.sha256(b"").hexdigest(),
        "previous": None,
    }
    return signed(ManifestIssued, KEY, **(said | changes))


@OF
def test_the_example_is_verified_by_its_documentation_alone(kind, covered):
    said = example(kind.__name__).value
    lines = [said[name] for name in ("topic_name", "source", "generation", "hour", "first_sequence", "last_sequence")]
    lines += [said["count"], said["digest"], said["previous"]]
    statement = "".join(f"{line}\n" for line in ("sojourn-manifest-1", *lines)).encode()
    header, nothing, signature = said["signature"].split(".")
    assert nothing == ""
    assert json.loads(unpadded(header))["alg"] == "Ed25519"
    [key] = [
        key for document in DOCUMENTS for key in document["keys"] if key["kid"] == json.loads(unpadded(header))["kid"]
    ]
    assert key["source"] == said["source"]
    content = base64.urlsafe_b64encode(statement).rstrip(b"=").decode()
    public = Ed25519PublicKey.from_public_bytes(unpadded(key["x"]))
    public.verify(unpadded(signature), f"{header}.{content}".encode())  # raises if it is not
    jws.deserialize_compact(f"{header}.{content}.{signature}", OKPKey.import_key(key), algorithms=["Ed25519"])
    event = example(covered)
    assert said["digest"] == hashlib.sha256(bytes.fromhex(event.headers["ce_id"].replace("-", ""))).hexdigest()
    assert int(event.headers["ce_sequence"]) == said["first_sequence"] == said["last_sequence"]
    [namespace] = re.findall(r"namespace `([0-9a-f-]{36})`", ManifestIssued.__doc__ or "")
    assert said["manifest_id"] == str(uuid5(UUID(namespace), statement.decode()))


@OF
def test_the_example_is_verified_by_our_code(kind, covered):
    check(kind.model_validate(example(kind.__name__).value), KEYS)


def test_a_manifest_that_was_signed_is_taken_whatever_its_time_zone_says():
    made = a_manifest()
    check(made, OURS)
    elsewhere = made.hour.astimezone(timezone(timedelta(hours=5, minutes=30)))
    check(made.model_copy(update={"hour": elsewhere}), OURS)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("topic_name", "ExchangeCancelled"),
        ("source", "sojourn/matching"),
        ("generation", 2),
        ("hour", datetime(2026, 3, 2, 13, tzinfo=UTC)),
        ("first_sequence", 8),
        ("last_sequence", 8),
        ("count", 2),
        ("digest", hashlib.sha256(b"x").hexdigest()),
        ("previous", UUID(int=5)),
        ("manifest_id", UUID(int=5)),
    ],
)
def test_a_manifest_is_not_trusted_with_any_part_changed(field: str, value: object):
    altered = a_manifest().model_copy(update={field: value})
    with pytest.raises(Distrusted):
        check(altered, OURS)
    if field != "manifest_id":  # whoever alters it can make a new id, and no signature
        own = altered.model_copy(update={"manifest_id": id_of(altered.statement)})
        with pytest.raises(Distrusted):
            check(own, OURS)


def test_a_manifest_that_contradicts_itself_is_not_trusted_though_it_is_signed():
    made = a_manifest()
    other = made.model_copy(update={"count": 2})
    header = {"alg": "Ed25519", "kid": KEY.kid}
    first, _, last = jws.serialize_compact(header, other.statement, KEY, algorithms=["Ed25519"]).split(".")
    update = {"signature": f"{first}..{last}", "manifest_id": id_of(other.statement)}
    with pytest.raises(Distrusted, match="count"):
        check(other.model_copy(update=update), OURS)


def test_a_key_signs_for_its_own_source_only():
    with pytest.raises(Distrusted, match="no key"):
        check(a_manifest(source="sojourn/matching"), OURS)


def test_a_key_of_another_name_is_none_and_neither_is_another_algorithm():
    made = a_manifest()
    with pytest.raises(Distrusted, match="no key"):
        check(made, KEYS)
    for algorithm in ("EdDSA", "HS256", "none"):
        header = base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "kid": KEY.kid}).encode()).rstrip(b"=").decode()
        with pytest.raises(Distrusted):
            check(made.model_copy(update={"signature": f"{header}..{made.signature.split('.')[2]}"}), OURS)


@pytest.mark.parametrize("signature", ["", "..", "a..b", "x" * 1_000, "é..é", "e30..AAAA", "a.b.c", "..."])
def test_a_signature_that_is_none_is_not_trusted(signature: str):
    with pytest.raises(Distrusted):
        check(a_manifest().model_copy(update={"signature": signature}), OURS)


@pytest.mark.parametrize(
    ("field", "value"), [("topic_name", "a\nb"), ("source", "two words"), ("generation", 0), ("digest", "F" * 64)]
)
def test_what_could_be_read_as_two_lines_or_in_two_ways_is_no_manifest(field: str, value: object):
    with pytest.raises(ValidationError):
        ManifestIssued.model_validate(a_manifest().model_dump() | {field: value})


def test_keys_of_other_kinds_and_without_a_source_are_left_out():
    other = {"keys": [{"kty": "RSA", "kid": "1", "source": "s"}, {"crv": "Ed25519", "kid": "2", "x": "AA"}]}
    assert trusted_keys(other) == {}
    assert KEYS.keys() | OURS.keys() == trusted_keys(*DOCUMENTS, {"keys": list(OURS.values())}).keys()


def a_document(*kids: str, source: str, x: str = "x") -> dict[str, list[dict[str, str]]]:
    return {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x + kid, "source": source} for kid in kids]}


@pytest.mark.parametrize(
    ("documents", "says"),
    [
        (
            [{"keys": [*a_document("1", source="sojourn/a")["keys"], *a_document("2", source="sojourn/b")["keys"]]}],
            "one document names keys of several sources: sojourn/a, sojourn/b",
        ),
        (
            [a_document("1", source="sojourn/a"), a_document("2", source="sojourn/a")],
            "two documents name different keys of sojourn/a",
        ),
        (
            [a_document("1", source="sojourn/a"), a_document("1", "2", source="sojourn/a")],
            "two documents name different keys of sojourn/a",
        ),
        (
            [a_document("1", source="sojourn/a"), a_document("1", source="sojourn/b", x="y")],
            "the key 1 of sojourn/b is another one of sojourn/a",
        ),
        (
            [
                {
                    "keys": [
                        *a_document("1", source="sojourn/a")["keys"],
                        *a_document("1", source="sojourn/a", x="y")["keys"],
                    ]
                }
            ],
            "the key 1 of sojourn/a is another one of sojourn/a",
        ),
    ],
)
def test_a_document_that_names_what_is_anothers_is_not_believed_nor_are_two_that_differ(
    documents: list[Any], says: str
):
    with pytest.raises(Disputed) as refused:
        trusted_keys(*documents)
    assert str(refused.value) == says


def test_one_document_may_come_twice_and_each_service_has_one():
    of_a, of_b = a_document("1", "2", source="sojourn/a"), a_document("3", source="sojourn/b")
    assert trusted_keys(of_a, of_b, of_a).keys() == {"1", "2", "3"}


def test_every_topic_that_subscribers_may_read_is_proven_to_the_same_readers_and_no_other_is():
    for topic in catalogue.TOPICS:
        if topic.is_of_manifests or topic.visibility is catalogue.Visibility.INTERNAL:
            assert topic.manifest is None
        else:
            assert topic.manifest is not None
            its = catalogue.BY_NAME[topic.manifest.__name__]
            assert its.visibility is topic.visibility
            assert set(topic.producers) <= set(its.producers)
