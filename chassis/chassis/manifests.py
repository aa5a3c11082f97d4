"""Manifests: for each hour in which the service put events on a topic that others read, it signs which ones they are.

Guarantee 24: once an hour is over, its events on a topic that subscribers may read are in one manifest, issued once, whatever is
killed and however many processes run; manifests follow on each other without a hole, and each names the one before.

One piece of standing work a service (``due.STANDING``) looks after each hour by the wall clock. A manifest is emitted in the
transaction that notes up to where the topic is covered; what it states is made of the log alone.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from joserfc import jws
from joserfc.jwk import OKPKey
from sojourn_contracts import catalogue
from sojourn_contracts.catalogue import Topic
from sojourn_contracts.manifest import ALGORITHM, HOUR, ManifestIssued, id_of, statement

from chassis.doors import OnDue, Work
from chassis.manifest_keys import ManifestKeys
from chassis.transaction import MANIFESTS, UNLINKED, Transaction

GRACE = timedelta(minutes=1)
"""After an hour's end, until its manifest is issued: longer than any transaction, so that little comes to the log later."""

_LAST = "select generation, hour, last_sequence, manifest_id from manifest where topic = $1"
_NEXT = """
with begun as (
    select sequence as first, generation,
           greatest(date_trunc('hour', written_at, 'UTC'), case when generation = $3 then $4::timestamptz + $5 end) as hour
    from event_log where topic = $1 and sequence > $2 order by sequence limit 1
), closed as (
    select * from begun where hour + $5 + $6 <= clock_timestamp()
), beyond as (
    select sequence as next from event_log join closed on sequence > closed.first
    where topic = $1 and (written_at >= closed.hour + $5 or event_log.generation <> closed.generation)
    order by sequence limit 1
)
select closed.hour, closed.generation, closed.first, max(sequence) as last, count(*) as count,
       encode(sha256(string_agg(uuid_send(event_id), ''::bytea order by sequence)), 'hex') as digest
from event_log join closed on sequence >= closed.first
where topic = $1 and sequence < coalesce((select next from beyond), 9223372036854775807)
group by closed.hour, closed.generation, closed.first
"""
_NEXT_LOOK = "select date_trunc('hour', clock_timestamp() - $1::interval, 'UTC') + $2::interval + $1::interval"


class Holes(RuntimeError):  # noqa: N818 - it is what was found
    """The log lacks sequences: rows were taken out of it, which nothing here does."""


def door(keys: ManifestKeys) -> OnDue:
    """The due work that issues what is to be issued: a manifest a topic at a time, and again at once while there is more."""

    async def issue(work: Work, tx: Transaction) -> None:
        unlinked = tx.caused_by(UNLINKED)
        more = [
            await _issue_next(topic, topic.manifest, keys, unlinked)
            for topic in catalogue.emitted_by(tx.service)
            if topic.manifest is not None
        ]
        look = None if any(more) else await tx.connection.fetchval(_NEXT_LOOK, GRACE, HOUR)
        unlinked.schedule(MANIFESTS, work.subject, work.at, not_before=look)

    return OnDue(MANIFESTS, issue)


async def _issue_next(topic: Topic, event: type[ManifestIssued], keys: ManifestKeys, tx: Transaction) -> bool:
    """Issues the manifest that follows on the topic's last one, if its hour is over; says whether there was one to issue.

    Raises:
        Holes: the log lacks some of the events.
    """
    last = await tx.connection.fetchrow(_LAST, topic.name)
    covered: int = last["last_sequence"] if last else 0
    previous: UUID | None = last["manifest_id"] if last else None
    row = await tx.connection.fetchrow(
        _NEXT, topic.name, covered, last and last["generation"], last and last["hour"], HOUR, GRACE
    )
    if row is None:
        return False
    if row["count"] != row["last"] - row["first"] + 1 or (last and row["first"] != covered + 1):
        raise Holes(f"{topic.name} has {row['count']} rows from {row['first']} to {row['last']}, after {covered}")
    made = signed(
        event,
        keys.signing,
        topic_name=topic.name,
        source=f"sojourn/{tx.service}",
        generation=row["generation"],
        hour=row["hour"],
        first_sequence=row["first"],
        last_sequence=row["last"],
        digest=row["digest"],
        previous=previous,
    )
    tx.emit(made)
    await tx.connection.execute(
        "insert into manifest (topic, generation, hour, last_sequence, manifest_id) values ($1, $2, $3, $4, $5)"
        " on conflict (topic) do update set generation = excluded.generation, hour = excluded.hour,"
        " last_sequence = excluded.last_sequence, manifest_id = excluded.manifest_id",
        topic.name,
        made.generation,
        made.hour,
        made.last_sequence,
        made.manifest_id,
    )
    return True


def signed(
    event: type[ManifestIssued],
    key: OKPKey,
    *,
    topic_name: str,
    source: str,
    generation: int,
    hour: datetime,
    first_sequence: int,
    last_sequence: int,
    digest: str,
    previous: UUID | None,
) -> ManifestIssued:
    """The manifest that says so: its id and its signature are those of its statement."""
    count = last_sequence - first_sequence + 1
    said = statement(topic_name, source, generation, hour, first_sequence, last_sequence, count, digest, previous)
    header, _, signature = jws.serialize_compact(
        {"alg": ALGORITHM, "kid": key.kid}, said, key, algorithms=[ALGORITHM]
    ).split(".")
    return event(
        manifest_id=id_of(said),
        topic_name=topic_name,
        source=source,
        generation=generation,
        hour=hour,
        first_sequence=first_sequence,
        last_sequence=last_sequence,
        count=count,
        digest=digest,
        previous=previous,
        signature=f"{header}..{signature}",
    )


def routes(source: str, keys: ManifestKeys | None) -> APIRouter:
    """Where everybody finds the public keys; an empty set where no manifests are issued."""
    document: dict[str, Any] = keys.document(source) if keys else {"keys": []}
    router = APIRouter()

    @router.get("/.well-known/manifest-keys.json")
    async def manifest_keys() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        """The public keys that this service's manifests are signed with, now and formerly."""
        return document

    return router
