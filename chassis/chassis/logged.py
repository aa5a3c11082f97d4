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


class Log:
    """Topics of a service's log that are read in one order."""

    def __init__(self, service: str, topics: Sequence[str], place: str) -> None:
        """``place`` is the column that numbers the events: ``position``, or ``sequence`` of a single topic."""
        self.topics = topics
        self._place = place
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
            select place, generation, topic, attributes, data
            from (
                select position, place
                from unnest($2::text[]) as wanted(topic) cross join lateral (
                    select position, {place} as place from event_log
                    where event_log.topic = wanted.topic and {place} > $1 %s
                    order by {place} limit $3
                ) as of_topic
                order by place limit $3
            ) as found cross join lateral (
                select generation, topic, {attributes} as attributes, data
                from event_log where event_log.position = found.position offset 0
            ) as logged
            order by place
        """  # noqa: S608

    async def after(self, connection: Connection, topics: Sequence[str], place: int, limit: int) -> list[Entry]:
        """The next events of these topics, oldest first."""
        return await self._entries(connection, "", topics, place, limit)

    async def newest_after(self, connection: Connection, topics: Sequence[str], place: int, limit: int) -> list[Entry]:
        """The same without what a later event on the same topic about the same subject has superseded.

        Read page by page to its end, while others write, it is the state that the log comes to at the last place.
        """
        newest = """
            and not exists (
                select from event_log as later
                where later.subject = event_log.subject and later.topic = event_log.topic
                    and later.position > event_log.position
                offset 0
            )
        """
        return await self._entries(connection, newest, topics, place, limit)

    async def _entries(
        self, connection: Connection, condition: str, topics: Sequence[str], place: int, limit: int
    ) -> list[Entry]:
        rows = await connection.fetch(self._read % condition, place, topics, limit)
        return [
            Entry(Cursor(generation, place), topic, attributes, data)
            for place, generation, topic, attributes, data in rows
        ]

    async def holds(self, connection: Connection, at: Cursor) -> bool:
        """Whether an event of that generation stands there; every log holds its start."""
        generation = await connection.fetchval(
            f"select generation from event_log where {self._place} = $1 and ($2 or topic = any($3::text[]))",  # noqa: S608
            at.place,
            self._place == "position",
            self.topics,
        )
        return at.place == 0 or generation == at.generation

    async def end(self, connection: Connection) -> Cursor:
        """Of the newest event."""
        row = await connection.fetchrow(
            f"select generation, {self._place} from event_log where topic = any($1::text[])"  # noqa: S608
            f" order by {self._place} desc limit 1",
            self.topics,
        )
        return Cursor(*row) if row else cursor(START)
