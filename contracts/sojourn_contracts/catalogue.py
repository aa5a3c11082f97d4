"""The one table of the topics: who emits an event, who consumes it, how it is keyed, seen and kept.

A topic may have several producers. Each numbers its own events there: ``ce_sequence`` is dense per topic, source (the service)
and generation, so who proves completeness counts each source by itself.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.erasure import ErasureDone, ErasureRequested
from sojourn_contracts.event import Event
from sojourn_contracts.exchange import ExchangeAgreed, ExchangeCancelled, ExchangeCompleted, ExchangeUpdated
from sojourn_contracts.manifest import ManifestIssued, SurveyManifestIssued
from sojourn_contracts.match import MatchDeclined, MatchProposed
from sojourn_contracts.notice import NoticeDue, NoticeSent
from sojourn_contracts.survey import SurveySubmitted

SERVICES = ("registration", "matching", "exchange", "survey")

MAX_RECORD_BYTES = 1_000_000
"""Of key, value and headers together; every topic's ``max.message.bytes`` leaves room above it."""


class Visibility(StrEnum):
    """Who may read a topic beside the services; PUBLIC: whoever subscribes.

    ANALYSTS: who has been granted it, by name. Its records are of single people and companies, whom their dimensions and clusters
    may single out for somebody who knows them. Only tables that are released from it are public.
    """

    PUBLIC = "public"
    ANALYSTS = "analysts"
    INTERNAL = "internal"


class Cleanup(StrEnum):
    """COMPACT keeps the newest event per key for good; DELETE drops records after ``INTERNAL_RETENTION``."""

    COMPACT = "compact"
    DELETE = "delete"


STANDS_WHOLE = timedelta(days=7)
"""How long a compacted topic keeps every record; within twice that, all but the newest of a key are gone."""
TOMBSTONES_STAY = timedelta(days=1)
"""After compaction: who was away for longer than this and ``STANDS_WHOLE`` may have missed that somebody was erased."""
INTERNAL_RETENTION = timedelta(days=21)
"""Less than the inbox's 30 days, so that whatever a topic can repeat is still known."""


MANIFESTS: dict[Visibility, type[ManifestIssued]] = {
    Visibility.PUBLIC: ManifestIssued,
    Visibility.ANALYSTS: SurveyManifestIssued,
}
"""The event that proves what stands on topics of this visibility, for the same readers; nobody subscribes to internal ones."""


@dataclass(frozen=True)
class Topic:
    """One row: a topic carries one event."""

    event: type[Event]
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    visibility: Visibility = Visibility.PUBLIC
    cleanup: Cleanup = Cleanup.COMPACT
    planned: bool = False
    """The contract stands, but nobody emits or handles the event yet: its topic does not exist."""
    partitions: int = 6
    """Equal for all, so that one subject's events usually meet one member of a group."""

    @property
    def name(self) -> str:
        return self.event.topic()

    @property
    def key(self) -> str:
        """Name of the field that is the record's key."""
        return self.event.key

    @property
    def is_of_manifests(self) -> bool:
        """It tells of other topics, by the time of day; nothing is done about its events in the programme."""
        return issubclass(self.event, ManifestIssued)

    @property
    def manifest(self) -> type[ManifestIssued] | None:
        """The event that proves its completeness; manifests prove their own, since each names the one before."""
        return None if self.is_of_manifests else MANIFESTS.get(self.visibility)

    @property
    def configuration(self) -> dict[str, str]:
        """The topic's settings at the broker; ages in milliseconds."""
        size = {"max.message.bytes": str(MAX_RECORD_BYTES + 100_000)}
        if self.cleanup is Cleanup.COMPACT:
            ages = {
                "min.compaction.lag.ms": _milliseconds(STANDS_WHOLE),
                "max.compaction.lag.ms": _milliseconds(2 * STANDS_WHOLE),
                "delete.retention.ms": _milliseconds(TOMBSTONES_STAY),
            }
            return size | {"cleanup.policy": "compact", "retention.ms": "-1"} | ages
        return size | {
            "cleanup.policy": "delete",
            "retention.ms": _milliseconds(INTERNAL_RETENTION),
        }


def _milliseconds(age: timedelta) -> str:
    return str(age // timedelta(milliseconds=1))


TABLE: tuple[Topic, ...] = (
    Topic(CompanyRegistered, ("registration",), ("matching", "exchange", "survey")),
    Topic(CompanyUpdated, ("registration",), ("matching", "exchange", "survey")),
    Topic(CompanyWithdrawn, ("registration",), ("matching", "exchange", "survey")),
    Topic(MatchProposed, ("matching",), ("exchange", "survey")),
    Topic(MatchDeclined, ("exchange",), ("matching", "survey")),
    Topic(ExchangeUpdated, ("exchange",), ("survey",)),
    Topic(ExchangeAgreed, ("exchange",), ("matching", "survey")),
    Topic(ExchangeCancelled, ("exchange",), ("matching", "survey")),
    Topic(ExchangeCompleted, ("exchange",), ("matching", "survey")),
    Topic(SurveySubmitted, ("survey",), (), Visibility.ANALYSTS),
    Topic(ManifestIssued, ("registration", "matching", "exchange"), ()),
    Topic(SurveyManifestIssued, ("survey",), (), Visibility.ANALYSTS),
    Topic(NoticeDue, ("exchange", "survey"), ("registration",), Visibility.INTERNAL, Cleanup.DELETE),
    Topic(NoticeSent, ("registration",), ("survey",), Visibility.INTERNAL, Cleanup.DELETE),
    Topic(
        ErasureRequested,
        ("registration",),
        ("matching", "exchange", "survey"),
        Visibility.INTERNAL,
        Cleanup.DELETE,
    ),
    Topic(
        ErasureDone,
        ("matching", "exchange", "survey"),
        ("registration",),
        Visibility.INTERNAL,
        Cleanup.DELETE,
    ),
)
"""All that the contract has; most code wants ``TOPICS``."""

TOPICS: tuple[Topic, ...] = tuple(topic for topic in TABLE if not topic.planned)
"""Those that exist: they are made at the broker, written and read."""

BY_NAME: dict[str, Topic] = {topic.event.__name__: topic for topic in TABLE}
"""Planned ones too: what their records say can be read."""

POSITION_TOPIC = "relay-position"
"""Carries no records: its offsets in each relay's group are the published positions."""
POSITION_CONFIGURATION = {"cleanup.policy": "compact"}


def reserved(topic: str) -> str | None:
    """Why nobody but the services may write to a topic of this name; None if it may be a subscriber's own."""
    if topic.partition(".v")[0] in BY_NAME:
        return f"{topic} is a topic of the catalogue: on it, only its producers are believed"
    if topic == POSITION_TOPIC:
        return f"{topic} is where the services keep how far they have published"
    if topic.startswith("__"):
        return f"{topic} is a topic that Kafka keeps for itself"
    return None


def emitted_by(service: str) -> tuple[Topic, ...]:
    """The existing topics that a service writes, in the table's order."""
    return tuple(topic for topic in TOPICS if service in topic.producers)


def consumed_by(service: str) -> tuple[Topic, ...]:
    """The existing topics that a service reads, in the table's order."""
    return tuple(topic for topic in TOPICS if service in topic.consumers)
