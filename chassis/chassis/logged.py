"""The log as it is read: by place, from a cursor on.

Guarantee 23: who goes on from the last cursor that it read gets every event of its topics once, in the topics' order, whoever
writes meanwhile; a cursor of a log that was restored since is known not to be held.

That holds because an event is in the log only once it is committed, and one statement that no other can overtake gives it its
place: what can be seen is always the log's beginning without a hole. An event of the log can be lost by a restore alone, which
raises the generation that every cursor carries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sojourn_contracts.envelope import JSON

from chassis.database import Connection

START = "1-0"
"""The cursor before the first event."""
ORDER = "coalesce(adopted, generation)"
"""The generation in which an event of the log has its place: what was adopted after a restore may have had another one before."""
PATTERN = r"^[0-9]{1,9}-[0-9]{1,18}$"
"""Of a cursor."""


class Cursor(NamedTuple):
    """A place in a log of that generation: the last event that was read."""

    generation: int
    place: int

    def __str__(self) -> str:
        return f"{self.generation}-{self.place}"


def cursor(text: str) -> Cursor:
    return Cursor(*map(int, text.split("-")))


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of the log."""

    cursor: Cursor
    topic: str
    attributes: str
    """Its CloudEvents attributes: a JSON object."""
    data: str | None
    """JSON as it was emitted; None in a tombstone, and once its subject is erased."""

    @property
    def event(self) -> str:
        """The event in CloudEvents' JSON format; a tombstone has no ``data``."""
        return self.attributes if self.data is None else f'{self.attributes[:-1]},"data":{self.data}}}'


class Page(NamedTuple):
    """Events, oldest first, as far as a place that may lie beyond the last of them."""

    entries: list[Entry]
    reached: Cursor
    ended: bool
    """Nothing comes after it, for now."""


class Log:
    """Topics of a service's log that are read in one order.

    A page looks at as many events as it may have, whatever PostgreSQL knows of the table: sequences have no holes (guarantee 13),
    so the next ones of a topic are named by number.
    """

    def __init__(self, service: str, topics: Sequence[str], place: str) -> None:
        """``place`` is the column that numbers the events: ``position``, or ``sequence`` of a single topic."""
        self.topics = topics
        self._place = place
        # by the order of an index: whatever PostgreSQL knows of the table, it walks along no other one
        self._last = f"""
            select topic, {ORDER} as generation, sequence, {place} as place from event_log as before
            where (before.topic, before.{place}) <= (wanted.topic, $1::bigint)
            order by before.topic desc, before.{place} desc limit 1
        """  # noqa: S608
        attributes = f"""
            '{{"specversion":"1.0","id":"' || event_id || '","source":"sojourn/{service}","type":"' || type
            || '","subject":"' || subject || '","time":' || to_json(time) || ',"dataschema":"' || dataschema
            || '","datacontenttype":"{JSON.decode()}","sequence":"' || lpad(sequence::text, 18, '0')
            || '","generation":"' || generation || '"'
            || coalesce(',"correlationid":' || to_json(correlation_id), '')
            || coalesce(',"causationid":' || to_json(causation_id), '')
            || coalesce(',"traceparent":' || to_json(traceparent), '') || '}}'
        """
        self._read = f"""
            with found as (
                select position, generation, place
                from (
                    select wanted.topic, coalesce(last.sequence, 0) as last from unnest($2::text[]) as wanted(topic)
                    left join lateral ({self._last}) as last on last.topic = wanted.topic offset 0
                ) as seen cross join lateral (
                    select position, {ORDER} as generation, {place} as place from event_log
                    where event_log.topic = seen.topic and sequence > last and sequence <= last + $3::bigint offset 0
                ) as of_topic
                order by place limit $3
            )
            select place, generation, topic, attributes, data
            from found left join lateral (
                select topic, {attributes} as attributes, data
                from event_log where event_log.position = found.position %s offset 0
            ) as logged on true
            order by place
        """  # noqa: S608

    async def after(self, connection: Connection, topics: Sequence[str], after: Cursor, limit: int) -> Page:
        """The next events of these topics."""
        return await self._page(connection, "", topics, after, limit)

    async def newest_after(self, connection: Connection, topics: Sequence[str], after: Cursor, limit: int) -> Page:
        """The same without those that a later event on the same topic about the same subject has superseded.

        Read page by page to its end, while others write, it is the state that the log comes to at the last place.
        """
        newest = """
            and not exists (
                select from (select topic, position from event_log as own where own.subject = event_log.subject offset 0) as later
                where later.topic = event_log.topic and later.position > event_log.position
            )
        """
        return await self._page(connection, newest, topics, after, limit)

    async def _page(
        self, connection: Connection, condition: str, topics: Sequence[str], after: Cursor, limit: int
    ) -> Page:
        rows = await connection.fetch(self._read % condition, after.place, topics, limit)
        entries = [
            Entry(Cursor(generation, place), topic, attributes, data)
            for place, generation, topic, attributes, data in rows
            if topic is not None
        ]
        reached = Cursor(rows[-1]["generation"], rows[-1]["place"]) if rows else after
        return Page(entries, reached, len(rows) < limit)

    async def holds(self, connection: Connection, at: Cursor) -> bool:
        """Whether an event of that generation stands there; every log holds its start."""
        generation = await connection.fetchval(
            f"select {ORDER} from event_log where {self._place} = $1 and ($2 or topic = any($3::text[]))",  # noqa: S608
            at.place,
            self._place == "position",
            self.topics,
        )
        return at.place == 0 or generation == at.generation

    async def end(self, connection: Connection) -> Cursor:
        """Of the newest event."""
        row = await connection.fetchrow(
            f"""
            select generation, place from unnest($2::text[]) as wanted(topic)
            cross join lateral ({self._last}) as last where last.topic = wanted.topic order by place desc limit 1
            """,  # noqa: S608
            2**63 - 1,
            self.topics,
        )
        return Cursor(*row) if row else cursor(START)
