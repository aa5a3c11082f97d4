"""What is wrong with what was seen of an installation, and what to do about it. Asks nobody."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sojourn_contracts.access import Acl
from sojourn_contracts.catalogue import POSITION_CONFIGURATION, POSITION_TOPIC, consumed_by, emitted_by

CLOCKS_APART = 5.0
"""Seconds that two clocks may differ."""
LAG = 120.0
"""Seconds that an event may wait for its consumer, as in the alert SojournConsumerLag."""
OUTBOX_AGE = 60.0
"""Seconds that an event may wait for its publication, as in SojournOutboxAge."""
DUE_LATE = 300.0
"""Seconds of programme time, as in SojournDueWorkLate."""
INDEX_AGE = 60.0
"""Seconds that matching's index may be behind the market, as in SojournIndexBehind."""
DAYS_LEFT, DAYS_LEFT_CRITICAL = 21.0, 7.0
"""Of a certificate."""
POSTGRES = 170_000
"""The oldest version that has ``transaction_timeout``, as ``server_version_num`` says it."""


class Severity(StrEnum):
    CRITICAL = "critical"
    """Something does not work, or will not soon."""
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and what to do."""

    check: str
    severity: Severity
    wrong: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.severity:<8} {self.check:<12} {self.wrong}: {self.remedy}"


@dataclass(frozen=True)
class Unseen:
    """What was not looked at, and why."""

    check: str
    why: str


@dataclass
class Report:
    """What a doctor found in one service's part of an installation."""

    service: str
    findings: list[Finding] = field(default_factory=list[Finding])
    unchecked: list[Unseen] = field(default_factory=list[Unseen])
    """What could not be asked: nothing is known about it."""
    left_out: list[Unseen] = field(default_factory=list[Unseen])
    """What whoever asked has no right or no need to see."""

    @property
    def exit_code(self) -> int:
        """0: nothing is wrong; 1: something is; 2: not all could be looked at."""
        return 2 if self.unchecked else 1 if self.findings else 0


def settings(errors: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    for variable, reason in errors:
        yield Finding("settings", Severity.CRITICAL, f"{variable} {reason}", "set it in this process' environment")


def keys(location: str, problem: str | None) -> Iterator[Finding]:
    if problem is not None:
        yield Finding(
            "settings",
            Severity.CRITICAL,
            f"JWKS: no public keys at {location} ({problem})",
            "let it lead to registration's /.well-known/jwks.json, or to a file that `registration keys` wrote",
        )


def server(version: int) -> Iterator[Finding]:
    if version < POSTGRES:
        wrong = f"PostgreSQL is version {version // 10_000}, which has no transaction_timeout"
        yield Finding("versions", Severity.CRITICAL, wrong, f"upgrade it to {POSTGRES // 10_000} or later")


def schema(service: str, missing: Sequence[str]) -> Iterator[Finding]:
    if missing:
        yield Finding(
            "schema", Severity.CRITICAL, f"{service}'s schema lacks {', '.join(missing)}", f"run `{service} migrate`"
        )


@dataclass(frozen=True)
class Role:
    """What the database says of who signs in there."""

    name: str
    superuser: bool
    reaches: Sequence[str]
    """Schemas of other services."""
    settings: Mapping[str, str]
    """What its sessions begin with."""


def role(seen: Role, wanted: Mapping[str, str]) -> Iterator[Finding]:
    if seen.superuser:
        remedy = "let DATABASE_URL name the service's own role"
        yield Finding("role", Severity.CRITICAL, f"{seen.name} may do everything at the database", remedy)
    for name in seen.reaches:
        remedy = f"as its owner: revoke all on schema {name} from {seen.name}"
        yield Finding("role", Severity.CRITICAL, f"{seen.name} reaches the schema {name}", remedy)
    for name, value in wanted.items():
        if seen.settings.get(name) != value:
            yield Finding(
                "role",
                Severity.WARNING,
                f"{seen.name}'s sessions begin with {name} = {seen.settings.get(name)!r}",
                f"as its administrator: alter role {seen.name} set {name} = '{value}'",
            )


def listening(heard: bool, direct: bool) -> Iterator[Finding]:
    if not heard:
        where = "LISTEN_DATABASE_URL leads" if direct else "DATABASE_URL leads"
        yield Finding(
            "listening",
            Severity.WARNING,
            f"what is notified is not heard: {where} to a pooler",
            "set LISTEN_DATABASE_URL to the same database without the pooler; until then events wait for the next look",
        )


@dataclass(frozen=True)
class Wanted:
    partitions: int
    configuration: Mapping[str, str]


@dataclass(frozen=True)
class Topic:
    """What the broker says of one; 0 partitions: there is no such topic."""

    partitions: int
    leaderless: int = 0
    out_of_sync: int = 0
    """Partitions of which a replica is behind."""
    configuration: Mapping[str, str] | None = None
    """None: it may not be seen."""


def wanted_topics(service: str) -> dict[str, Wanted]:
    """What the service reads and writes."""
    topics = {
        topic.name: Wanted(topic.partitions, topic.configuration)
        for topic in (*consumed_by(service), *emitted_by(service))
    }
    return topics | {POSITION_TOPIC: Wanted(1, POSITION_CONFIGURATION)}


def topics(wanted: Mapping[str, Wanted], seen: Mapping[str, Topic]) -> Iterator[Finding]:
    """Of those that were seen; which may not be seen at all is told by ``rights``."""
    for name, topic in seen.items():
        should = wanted[name]
        if topic.partitions == 0:
            options = " ".join(f"--config {key}={value}" for key, value in should.configuration.items())
            remedy = (
                f"kafka-topics.sh --create --topic {name} --partitions {should.partitions} {options}, or its KafkaTopic"
            )
            yield Finding("topics", Severity.CRITICAL, f"there is no topic {name}", remedy)
            continue
        if topic.partitions < should.partitions:  # more are what an operator may have given it since
            yield Finding(
                "topics",
                Severity.CRITICAL,
                f"{name} has {topic.partitions} partitions, fewer than {should.partitions}",
                "more partitions move keys: follow the runbook partitions",
            )
        if topic.leaderless:
            wrong = f"{topic.leaderless} partitions of {name} have no leader"
            yield Finding("topics", Severity.CRITICAL, wrong, "bring the brokers back that hold them")
        elif topic.out_of_sync:
            wrong = f"{topic.out_of_sync} partitions of {name} have replicas that are behind"
            yield Finding("topics", Severity.WARNING, wrong, "look for a broker that is down, slow or full")
        for key, value in should.configuration.items():
            found = value if topic.configuration is None else topic.configuration.get(key)
            if found != value:
                remedy = (
                    f"kafka-configs.sh --alter --entity-type topics --entity-name {name} --add-config {key}={value}"
                )
                yield Finding(
                    "topics",
                    Severity.CRITICAL,
                    f"{name} has {key}={found}, not {value}",
                    f"{remedy}, or its KafkaTopic",
                )


def rights(missing: Iterable[Acl]) -> Iterator[Finding]:
    for acl in missing:
        yield Finding(
            "acls",
            Severity.CRITICAL,
            f"{acl.user} may not {acl.operation} the {acl.kind} {acl.name}",
            "`laptop access apply GRANTS --passwords FILE` as the broker's administrator, or its KafkaUser",
        )


def clocks(ahead: Mapping[str, float]) -> Iterator[Finding]:
    """``ahead``: seconds by which others' clocks are ahead of this machine's."""
    for whose, seconds in ahead.items():
        if abs(seconds) > CLOCKS_APART:
            wrong = f"{whose}'s clock is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} this machine's"
            yield Finding("clocks", Severity.CRITICAL, wrong, "let both keep time by NTP (chronyc tracking)")


def lag(group: str, members: int, waiting: Mapping[str, float]) -> Iterator[Finding]:
    """``waiting``: seconds since the oldest record that waits in a partition was written."""
    if waiting and (longest := max(waiting.values())) > LAG:
        where = max(waiting, key=lambda place: waiting[place])
        remedy = (
            f"see the runbook SojournConsumerLag; {group} has {members} members, more replicas take more"
            if members
            else f"nobody is in the group {group}: start the service, and look for `halted` in its log"
        )
        wrong = f"events for {group} have waited for {longest:.0f} s, the oldest in {where}"
        yield Finding("lag", Severity.CRITICAL, wrong, remedy)


@dataclass(frozen=True)
class Work:
    """What waits in a service's schema."""

    outbox: int
    outbox_age: float
    dead_letters: int
    parked: int
    due_late: float


def work(service: str, seen: Work) -> Iterator[Finding]:
    if seen.outbox_age > OUTBOX_AGE:
        wrong = f"{seen.outbox} events wait to be published, the oldest for {seen.outbox_age:.0f} s"
        yield Finding("outbox", Severity.CRITICAL, wrong, "see the runbook SojournOutboxAge")
    if seen.dead_letters:
        remedy = f"`{service} dead-letters list`, then `replay` or `discard`: the runbook SojournDeadLetters"
        yield Finding("dead letters", Severity.WARNING, f"{seen.dead_letters} wait in {service}", remedy)
    if seen.parked:
        remedy = f"`{service} due list`, then `retry` or `discard`: the runbook SojournParkedWork"
        yield Finding("due work", Severity.WARNING, f"{seen.parked} works of {service} are parked", remedy)
    if seen.due_late > DUE_LATE:
        wrong = f"due work of {service} is late by {seen.due_late:.0f} s"
        yield Finding("due work", Severity.WARNING, wrong, "see the runbook SojournDueWorkLate")


def certificates(days_left: Mapping[str, float]) -> Iterator[Finding]:
    for whose, days in days_left.items():
        if days <= 0:
            wrong = f"the certificate of {whose} has expired"
        elif days <= DAYS_LEFT:
            wrong = f"the certificate of {whose} expires in {days:.0f} days"
        else:
            continue
        severity = Severity.CRITICAL if days <= DAYS_LEFT_CRITICAL else Severity.WARNING
        yield Finding("certificates", severity, wrong, "renew it, and let whoever uses it read it anew")


@dataclass(frozen=True)
class Process:
    """What a running process says of itself; None where it does not say."""

    url: str
    ready: bool
    reason: str = ""
    halted: bool | None = None
    version: str | None = None
    index_age: float | None = None
    """Seconds since the index that it keeps in memory was known to show all that is committed."""


def processes(version: str, seen: Iterable[Process]) -> Iterator[Finding]:
    for process in seen:
        if not process.ready:
            wrong = f"{process.url} is not ready ({process.reason})"
            yield Finding("processes", Severity.CRITICAL, wrong, "look at its log for what it waits for")
        if process.halted:
            remedy = "its log says which and why (`reason`); mend that and restart it: the runbook SojournHalted"
            yield Finding("processes", Severity.CRITICAL, f"a part of {process.url} has halted", remedy)
        if process.index_age is not None and process.index_age > INDEX_AGE:
            wrong = f"the index of {process.url} is {process.index_age:.0f} s behind the market"
            yield Finding("processes", Severity.WARNING, wrong, "see the runbook SojournIndexBehind")
        if process.version not in (None, version):
            wrong = f"{process.url} runs version {process.version}, and this is {version}"
            yield Finding("versions", Severity.WARNING, wrong, "finish the rollout")
