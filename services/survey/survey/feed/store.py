"""The log of released submissions, as it is read."""

from dataclasses import dataclass

from chassis.transaction import Transaction
from sojourn_contracts.survey import SurveySubmitted


@dataclass(frozen=True)
class Logged:
    """One event of the topic's log. Sequences are dense, and given in the order in which the events become visible."""

    sequence: int
    generation: int
    """How often the log had been restored when the event was written."""
    event_id: str
    subject: str
    data: str | None
    """As it was emitted; None if the record is erased."""


async def logged_after(tx: Transaction, sequence: int, limit: int) -> list[Logged]:
    rows = await tx.connection.fetch(
        """
        select sequence, generation, event_id::text, subject::text, data from event_log
        where topic = $1 and sequence > $2 order by sequence limit $3
        """,
        SurveySubmitted.topic(),
        sequence,
        limit,
    )
    return [Logged(row["sequence"], row["generation"], row["event_id"], row["subject"], row["data"]) for row in rows]


async def generation_at(tx: Transaction, sequence: int) -> int | None:
    """Of the event that stands there; None if none does."""
    return await tx.connection.fetchval(
        "select generation from event_log where topic = $1 and sequence = $2", SurveySubmitted.topic(), sequence
    )
