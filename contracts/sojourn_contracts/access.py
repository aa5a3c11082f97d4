"""What each user may do at the broker: derived from the catalogue and from the grants, as data that any tool can apply.

Everything else is denied: an installation's broker has an authorizer (``StandardAuthorizer``) that allows what an ACL says and
nothing more. Each ACL names one resource literally. Nobody may create, alter or delete anything: topics and ACLs are made by
whoever administers the broker.

Kafka lets who may read or write a resource also describe it. It is said all the same, since other authorizers do not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from sojourn_contracts.catalogue import POSITION_TOPIC, SERVICES, Topic, Visibility, consumed_by, emitted_by
from sojourn_contracts.grants import OWN, Grants
from sojourn_contracts.survey import SurveySubmitted

SINK = OWN[-1]
"""The survey's sink: user, and consumer group."""


class Kind(StrEnum):
    """Of a resource; the names are Strimzi's."""

    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactionalId"


class Operation(StrEnum):
    READ = "Read"
    WRITE = "Write"
    DESCRIBE = "Describe"
    DESCRIBE_CONFIGS = "DescribeConfigs"


@dataclass(frozen=True, order=True)
class Acl:
    """One thing that a user may do, from every host, with the resource of exactly this name."""

    user: str
    kind: Kind
    name: str
    operation: Operation

    def __str__(self) -> str:
        return f"{self.user:<24} {self.kind:<16} {self.name:<24} {self.operation}"


def relay_of(service: str) -> str:
    """A relay's transactional id, and the group in which its position is kept."""
    return f"{service}.relay"


def users(grants: Grants) -> tuple[str, ...]:
    """Who signs in at the broker: the services, the survey's sink, and each client with a grant over Kafka."""
    return (*OWN, *sorted(client for client in grants.clients if _read_by(client, grants)))


def acls(grants: Grants) -> tuple[Acl, ...]:
    """All that is allowed, in order."""
    found = [*_of_sink()]
    own = frozenset[str]().union(*map(grants.own, grants.clients))
    for service in SERVICES:
        found += _of_service(service)
        if any(topic.visibility is not Visibility.INTERNAL for topic in emitted_by(service)):
            found += _may(service, Kind.TOPIC, own, Operation.WRITE, Operation.DESCRIBE)  # it replays to them
    for client in grants.clients:
        found += _of_client(client, _read_by(client, grants))
    return tuple(sorted(set(found)))


_LOOKS = (Operation.READ, Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS)


def _of_service(service: str) -> Iterator[Acl]:
    """It consumes in a group of its name; its relay writes, reads what stands last on its topics, and commits its position.

    Its doctor looks at how these topics are configured.
    """
    consumed, emitted = _named(consumed_by(service)), _named(emitted_by(service))
    yield from _may(service, Kind.TOPIC, consumed | emitted | {POSITION_TOPIC}, *_LOOKS)
    yield from _may(service, Kind.TOPIC, emitted, Operation.WRITE)
    yield from _may(service, Kind.GROUP, {service, relay_of(service)}, Operation.READ)
    yield from _may(service, Kind.TRANSACTIONAL_ID, {relay_of(service)}, Operation.WRITE, Operation.DESCRIBE)


def _of_sink() -> Iterator[Acl]:
    return _of_client(SINK, frozenset({SurveySubmitted.topic()}))


def _of_client(client: str, topics: frozenset[str]) -> Iterator[Acl]:
    """It reads, in a group of its name or in none."""
    yield from _may(client, Kind.TOPIC, topics, Operation.READ, Operation.DESCRIBE)
    if topics:
        yield from _may(client, Kind.GROUP, {client}, Operation.READ)


def _read_by(client: str, grants: Grants) -> frozenset[str]:
    """What is granted to a client over Kafka, and what is its own."""
    return grants.topics(client) | grants.own(client)


def _named(topics: tuple[Topic, ...]) -> frozenset[str]:
    return frozenset(topic.name for topic in topics)


def _may(user: str, kind: Kind, names: frozenset[str] | set[str], *operations: Operation) -> Iterator[Acl]:
    return (Acl(user, kind, name, operation) for name in names for operation in operations)
