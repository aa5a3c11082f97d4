"""Makes a broker's users and ACLs what the grants say: compared first, then changed, and never more than is ours.

Ours are the users whose passwords the file has and those that the grants name, the catalogue's topics, the relays' position
topic, clients' own topics, and the services' groups and transactional ids. What reaches them by a wildcard or a prefix, and
what denies, somebody else meant: it is told and left alone.
"""

import json
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from sojourn_contracts.access import Acl, Kind, Operation, acls, relay_of, users
from sojourn_contracts.catalogue import SERVICES
from sojourn_contracts.grants import OWN, Grants

from laptop.postgres import private_file
from laptop.topics import wanted

T = TypeVar("T")

WITHIN = 30.0
ITERATIONS = 8_192
"""Of SCRAM's hash: passwords are random and long, so that guessing is hopeless anyhow."""

_KINDS = {
    Kind.TOPIC: ResourceType.TOPIC,
    Kind.GROUP: ResourceType.GROUP,
    Kind.TRANSACTIONAL_ID: ResourceType.TRANSACTIONAL_ID,
}
_OPERATIONS = {
    Operation.READ: AclOperation.READ,
    Operation.WRITE: AclOperation.WRITE,
    Operation.DESCRIBE: AclOperation.DESCRIBE,
    Operation.DESCRIBE_CONFIGS: AclOperation.DESCRIBE_CONFIGS,
}
_OURS = {
    ResourceType.TOPIC: frozenset(wanted()),
    ResourceType.GROUP: frozenset({*OWN, *map(relay_of, SERVICES)}),
    ResourceType.TRANSACTIONAL_ID: frozenset(map(relay_of, SERVICES)),
}

EVERY = AclBindingFilter(
    ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
)


class AccessError(RuntimeError):
    """The broker could not be asked, or refused what was asked of it."""


@dataclass(frozen=True)
class Difference:
    """Between what the grants say and what the broker does."""

    missing: tuple[AclBinding, ...]
    surplus: tuple[AclBinding, ...]
    new_users: tuple[str, ...]
    """Without a credential at the broker, or without a password in the file."""
    former_users: tuple[str, ...]
    left: tuple[AclBinding, ...]
    """What reaches ours by a wildcard or a prefix, or denies it: somebody has to look."""

    @property
    def nothing(self) -> bool:
        return not (self.missing or self.surplus or self.new_users or self.former_users)

    def __str__(self) -> str:
        lines = [
            *(f"+ user {user}" for user in self.new_users),
            *(f"- user {user}" for user in self.former_users),
            *(f"+ {_told(acl)}" for acl in self.missing),
            *(f"- {_told(acl)}" for acl in self.surplus),
            *(f"? {_told(acl)}" for acl in self.left),
        ]
        return "\n".join(lines)


def kept_passwords(file: Path) -> dict[str, str]:
    """Each user's that was ever made here and was not removed since."""
    return json.loads(file.read_text()) if file.exists() else {}


def difference(broker: AdminClient, grants: Grants, passwords: Path) -> Difference:
    """What ``apply`` would do.

    Raises:
        AccessError.
    """
    known, users_now = kept_passwords(passwords), users(grants)
    with_credentials = {
        user
        for user, found in _result(broker.describe_user_scram_credentials()).items()
        if any(info.mechanism is ScramMechanism.SCRAM_SHA_512 for info in found.scram_credential_infos)
    }
    should = {binding(acl) for acl in acls(grants)}
    there = _result(broker.describe_acls(EVERY))
    own = frozenset[str]().union(*map(grants.own, grants.clients))
    ours = [acl for acl in there if _is_ours(acl, {*users_now, *known}, own)]
    exact = {acl for acl in ours if _is_exact(acl)}
    return Difference(
        missing=_sorted(should - exact),
        surplus=_sorted(exact - should),
        new_users=tuple(user for user in users_now if user not in known or user not in with_credentials),
        former_users=tuple(sorted(known.keys() - set(users_now))),
        left=_sorted(set(ours) - exact),
    )


def apply(broker: AdminClient, grants: Grants, passwords: Path) -> Difference:
    """Takes away first, then gives; returns what was changed, once it is in force.

    Passwords that are made are added to the file, and those of former users removed.

    Raises:
        AccessError: the rest is as it was; the same again goes on from there.
    """
    found = difference(broker, grants, passwords)
    known = kept_passwords(passwords)
    _alter(broker, [UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_512) for user in found.former_users])
    _done(broker.delete_acls([exactly(acl) for acl in found.surplus]) if found.surplus else {})
    kept = {user: password for user, password in known.items() if user not in found.former_users}
    kept |= {user: secrets.token_urlsafe(32) for user in found.new_users if user not in kept}
    if kept != known:  # before the broker has them: a password that nobody knows helps nobody
        passwords.parent.mkdir(parents=True, exist_ok=True)
        private_file(passwords, json.dumps(kept, indent=1))
    how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
    _alter(broker, [UserScramCredentialUpsertion(user, how, kept[user].encode()) for user in found.new_users])
    _done(broker.create_acls(list(found.missing)) if found.missing else {})
    deadline = time.monotonic() + WITHIN
    while not difference(broker, grants, passwords).nothing:  # a broker hears of it a moment later
        if time.monotonic() > deadline:
            raise AccessError(f"the broker does not tell what was changed, after {WITHIN:.0f} s")
        time.sleep(0.05)
    return found


def _alter(broker: AdminClient, alterations: Sequence[UserScramCredentialAlteration]) -> None:
    """A credential that is to go may have gone before."""
    for each in broker.alter_user_scram_credentials(alterations).values() if alterations else ():
        try:
            _result(each)
        except AccessError as error:
            if "RESOURCE_NOT_FOUND" not in str(error):
                raise


def _is_ours(acl: AclBinding, known: set[str], own: frozenset[str]) -> bool:
    """Of a user of ours, or of anybody over something of ours or a client's own topic."""
    if acl.principal.removeprefix("User:") in known:
        return True
    ours = _OURS.get(acl.restype, frozenset()) | (own if acl.restype is ResourceType.TOPIC else frozenset())
    if acl.resource_pattern_type is ResourcePatternType.PREFIXED:
        return any(name.startswith(acl.name) for name in ours)
    return acl.name in ours or (acl.name == "*" and bool(ours))


def _is_exact(acl: AclBinding) -> bool:
    """As we make them."""
    literal = acl.resource_pattern_type is ResourcePatternType.LITERAL and acl.name != "*"
    return literal and acl.permission_type is AclPermissionType.ALLOW


def binding(acl: Acl) -> AclBinding:
    return AclBinding(
        _KINDS[acl.kind],
        acl.name,
        ResourcePatternType.LITERAL,
        f"User:{acl.user}",
        "*",
        _OPERATIONS[acl.operation],
        AclPermissionType.ALLOW,
    )


def exactly(acl: AclBinding) -> AclBindingFilter:
    """What finds this one."""
    return AclBindingFilter(
        acl.restype,
        acl.name,
        acl.resource_pattern_type,
        acl.principal,
        acl.host,
        acl.operation,
        acl.permission_type,
    )


def _told(acl: AclBinding) -> str:
    pattern = "" if acl.resource_pattern_type is ResourcePatternType.LITERAL else " (prefix)"
    permission = "" if acl.permission_type is AclPermissionType.ALLOW else f" {acl.permission_type.name}"
    user, kind = acl.principal.removeprefix("User:"), acl.restype.name.lower()
    return f"{user:<24} {kind:<16} {acl.name + pattern:<24} {acl.operation.name.capitalize()}{permission}"


def _sorted(found: Iterable[AclBinding]) -> tuple[AclBinding, ...]:
    return tuple(sorted(found, key=_told))


def _done(futures: Mapping[Any, Future[Any]]) -> None:
    for each in futures.values():
        _result(each)


def _result(future: Future[T]) -> T:
    try:
        return future.result(WITHIN)
    except KafkaException as error:
        raise AccessError(f"Kafka: {error.args[0]}") from None
    except TimeoutError:
        raise AccessError(f"Kafka did not answer within {WITHIN:.0f} s") from None
