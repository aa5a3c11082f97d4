"""What each user may do at the broker, as it follows from the catalogue and the grants."""

import pytest
from sojourn_contracts.access import Acl, Kind, Operation, acls, users
from sojourn_contracts.catalogue import SERVICES, TOPICS, Visibility
from sojourn_contracts.grants import OWN, parse

NOBODY = parse("clients: {}")
GRANTS = parse(
    """
clients:
  labour-ministry:
    topics: [CompanyRegistered]
    scopes: [events:ExchangeCompleted]
  everything-public:
    topics: [public]
  only-http:
    scopes: [events:public]
"""
)


def of(user: str, operation: Operation, kind: Kind = Kind.TOPIC) -> set[str]:
    return {acl.name for acl in acls(GRANTS) if (acl.user, acl.operation, acl.kind) == (user, operation, kind)}


def test_a_client_reads_what_it_is_granted_in_a_group_of_its_name_and_writes_nothing():
    assert [acl for acl in acls(GRANTS) if acl.user == "labour-ministry"] == [
        Acl("labour-ministry", Kind.GROUP, "labour-ministry", Operation.READ),
        Acl("labour-ministry", Kind.TOPIC, "CompanyRegistered", Operation.DESCRIBE),
        Acl("labour-ministry", Kind.TOPIC, "CompanyRegistered", Operation.READ),
        Acl("labour-ministry", Kind.TOPIC, "ManifestIssued", Operation.DESCRIBE),
        Acl("labour-ministry", Kind.TOPIC, "ManifestIssued", Operation.READ),
    ]


def test_only_our_services_write():
    assert {acl.user for acl in acls(GRANTS) if acl.operation is Operation.WRITE} == set(SERVICES)


def test_no_client_reaches_a_topic_that_is_not_public_unless_it_is_named():
    for topic in TOPICS:
        reads = topic.name in of("everything-public", Operation.READ)
        assert reads is (topic.visibility is Visibility.PUBLIC), topic.name


def test_a_client_without_a_grant_over_kafka_is_no_user_there():
    assert users(GRANTS) == (*OWN, "everything-public", "labour-ministry")
    assert not [acl for acl in acls(GRANTS) if acl.user == "only-http"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_do_what_the_catalogue_says_of_it(service: str):
    emitted = {topic.name for topic in TOPICS if service in topic.producers}
    consumed = {topic.name for topic in TOPICS if service in topic.consumers}
    assert of(service, Operation.WRITE) == emitted
    for operation in (Operation.READ, Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS):
        assert of(service, operation) == emitted | consumed | {"relay-position"}
    assert of(service, Operation.READ, Kind.GROUP) == {service, f"{service}.relay"}
    assert of(service, Operation.WRITE, Kind.TRANSACTIONAL_ID) == {f"{service}.relay"}


def test_a_users_rights_do_not_depend_on_who_else_has_been_granted_what():
    assert set(acls(NOBODY)) == {acl for acl in acls(GRANTS) if acl.user in OWN}


def test_a_client_reads_its_own_topic_and_services_that_replay_write_it_and_nobody_else_may_anything():
    said = parse(
        """
clients:
  labour-ministry: {topics: [public], own: [statistics.companies]}
  only-own: {own: [again]}
  everything-public: {topics: [public]}
"""
    )
    found = {(acl.user, acl.operation) for acl in acls(said) if acl.name == "statistics.companies"}
    of_services = {(service, operation) for service in SERVICES for operation in (Operation.WRITE, Operation.DESCRIBE)}
    assert found == of_services | {("labour-ministry", Operation.READ), ("labour-ministry", Operation.DESCRIBE)}
    assert Acl("only-own", Kind.GROUP, "only-own", Operation.READ) in acls(said)
    assert "only-own" in users(said)


def test_every_name_is_literal():
    assert not [acl for acl in acls(GRANTS) if "*" in acl.name]
