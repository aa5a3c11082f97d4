"""The file of grants: what it may say, and that whoever wrote it wrong is told where."""

from pathlib import Path

import pytest
from sojourn_contracts import grants
from sojourn_contracts.catalogue import TOPICS, Visibility
from sojourn_contracts.grants import OWN, GrantsError, parse

PUBLIC = {topic.name for topic in TOPICS if topic.visibility is Visibility.PUBLIC}
INTERNAL = [topic.name for topic in TOPICS if topic.visibility is Visibility.INTERNAL]
BY_NAME = [topic.name for topic in TOPICS if topic.visibility is Visibility.ANALYSTS]

FILE = """
clients:
  labour-ministry:
    topics: [public]
    scopes: [events:ExchangeCompleted]
  research-institute:
    topics: [ExchangeCompleted, SurveySubmitted]
    scopes: [events:public, events:SurveySubmitted]
"""


def test_a_client_may_read_what_its_grant_names_and_the_manifests_of_it():
    said = parse(FILE)
    assert said.topics("research-institute") == {
        *("ExchangeCompleted", "ManifestIssued"),
        *("SurveySubmitted", "SurveyManifestIssued"),
    }
    assert said.scopes("labour-ministry") == {"events:ExchangeCompleted", "events:ManifestIssued"}
    assert parse("clients: {a-ministry: {topics: [ManifestIssued]}}").topics("a-ministry") == {"ManifestIssued"}


def test_who_is_not_in_the_file_may_read_nothing():
    said = parse(FILE)
    assert said.topics("somebody") == said.scopes("somebody") == frozenset()
    assert parse("clients: {}").topics("labour-ministry") == frozenset()


def test_public_stands_for_every_public_topic_and_for_no_other():
    said = parse(FILE)
    assert said.topics("labour-ministry") == PUBLIC
    of_analysts = {"SurveySubmitted", "SurveyManifestIssued"}
    assert said.scopes("research-institute") == {f"events:{name}" for name in PUBLIC | of_analysts}
    assert BY_NAME
    assert PUBLIC.isdisjoint(BY_NAME)


@pytest.mark.parametrize("name", INTERNAL)
@pytest.mark.parametrize("field", ["topics: [{}]", "scopes: ['events:{}']"])
def test_an_internal_topic_cannot_be_granted_and_the_error_says_why(name: str, field: str):
    with pytest.raises(GrantsError) as refused:
        parse("clients:\n  a-ministry:\n    " + field.format(name))
    kind = field.partition(":")[0]
    assert str(refused.value) == (
        f"grants:3: clients.a-ministry.{kind}.0: {name} is internal:"
        " it says what the services tell each other, and no client may read it"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "grants: it is empty"),
        ("clients: [", "grants:1: expected the node content"),
        ("a-ministry: {}", "grants:1: clients: is required"),
        ("clients: {}\nclient: {}", "grants:2: client: is not known here"),
        ("clients:\n  a-ministry:\n    topics:\n      - MatchProposed\n      - Nothing", "grants:5: clients.a-ministry.topics.1"),
        ("clients:\n  a-ministry:\n    topic: []", "grants:3: clients.a-ministry.topic: is not known here"),
        ("clients:\n  a-ministry:\n    topics: CompanyRegistered", "grants:3: clients.a-ministry.topics: should be a list"),
        ("clients:\n  a-ministry:\n    scopes: [CompanyRegistered]", "is no scope: it should be events:<topic>"),
        ("clients:\n\n  A Ministry: {}", "grants:3: clients.A Ministry: a client's name has"),
        ("clients:\n  a-ministry: {}\n  a-ministry: {}", "grants:3: clients.a-ministry: stands there twice"),
        ("clients:\n  a-ministry: &a\n    topics: *a", "grants"),
        ("clients: !new {}", "grants:1: could not determine a constructor"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_line_and_field(text: str, said: str):
    with pytest.raises(GrantsError) as refused:
        parse(text)
    assert said in str(refused.value)


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(GrantsError) as refused:
        parse("clients:\n  a-ministry:\n    topics: [Nothing, NoticeDue]\n  b-ministry:\n    scopes: [x]")
    assert [line.split(": ")[0] for line in str(refused.value).splitlines()] == ["grants:3", "grants:3", "grants:5"]


def test_a_topic_of_the_clients_own_is_none_that_it_is_granted():
    said = parse("clients: {a-ministry: {topics: [CompanyRegistered], own: [statistics.companies]}}")
    assert said.own("a-ministry") == {"statistics.companies"}
    assert said.topics("a-ministry") == {"CompanyRegistered", "ManifestIssued"}
    assert said.own("somebody") == frozenset()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("CompanyUpdated", "is a topic of the catalogue"),
        ("NoticeDue", "is a topic of the catalogue"),
        ("CompanyUpdated.v2", "is a topic of the catalogue"),
        ("relay-position", "is where the services keep how far they have published"),
        ("__consumer_offsets", "is a topic that Kafka keeps for itself"),
        *((name, "cannot be a topic") for name in ("''", "'*'", ".", "..", "a b", "größe", "a/b", '"a\\n"', "x" * 250)),
    ],
)
def test_a_name_that_is_not_the_clients_to_have_is_refused(name: str, why: str):
    with pytest.raises(GrantsError, match=r"^grants:3: clients.a-ministry.own.1: ") as refused:
        parse(f"clients:\n  a-ministry:\n    own: [x{'x' * 248}, {name}]")
    assert why in str(refused.value)


def test_a_topic_is_one_clients_own():
    with pytest.raises(GrantsError) as refused:
        parse("clients:\n  a-ministry: {own: [again]}\n  b-ministry: {own: [again]}")
    assert (
        str(refused.value) == "grants:1: clients: again is a topic of a-ministry's own, and cannot be b-ministry's, too"
    )


@pytest.mark.parametrize("name", OWN)
def test_a_client_cannot_take_the_name_of_a_user_of_ours(name: str):
    with pytest.raises(GrantsError, match="is a user of our own"):
        parse(f"clients:\n  {name}: {{}}")


def test_an_error_names_the_file(tmp_path: Path):
    with pytest.raises(GrantsError, match="No such file"):
        grants.read(tmp_path / "nothing.yaml")
    file = tmp_path / "grants.yaml"
    file.write_text("clients: 3")
    with pytest.raises(GrantsError, match=rf"^{file}:1: clients: should be a mapping$"):
        grants.read(file)
