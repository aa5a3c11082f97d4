"""All the SQL about checklists. The list of an exchange changes only while the exchange's row is locked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from chassis.transaction import Transaction
from sojourn_contracts.refusal import Unknown
from sojourn_contracts.vocabulary import Country, Party

from exchange.checklist import domain
from exchange.checklist.domain import Done, Entry, Item, Listed
from exchange.state import Exchange, day_of, start_of

REMIND = "remind"
"""Due work: somebody is to be reminded of an entry of this exchange's list."""


@dataclass(frozen=True)
class Late:
    """An entry that is late, with the countries of its exchange."""

    exchange_id: UUID
    entry: Entry
    sender_country: Country
    host_country: Country


@dataclass(frozen=True)
class Page:
    """Which part of what is late is wanted: with a company in this country (None: any), after this entry, so many at most."""

    country: Country | None
    after: tuple[date, UUID, Item] | None
    limit: int


async def follow(tx: Transaction, before: Exchange | None, exchange: Exchange) -> None:
    """The list comes with the agreement, moves with its dates, and is over when the exchange ends."""
    were, are = domain.entries_of(before) if before else (), domain.entries_of(exchange)
    if are == were:
        return
    if not are:
        await tx.connection.execute("update checklist_item set over = true where exchange_id = $1", exchange.id)
        tx.unschedule(REMIND, exchange.id)
        return
    await _write(tx, exchange, are)
    set_reminder(tx, exchange.id, await of(tx, exchange.id))


async def of(tx: Transaction, exchange_id: UUID) -> list[Listed]:
    """The list of an exchange, by deadline; empty for one that was never agreed."""
    rows = await tx.connection.fetch(
        "select item, deadline, done_by, done_at, reminded_on from checklist_item where exchange_id = $1"
        " order by deadline, item",
        exchange_id,
    )
    return [_listed(row) for row in rows]


async def of_each(tx: Transaction, exchange_ids: Sequence[UUID]) -> dict[UUID, list[Listed]]:
    """The lists of these exchanges that are not over, each by deadline."""
    rows = await tx.connection.fetch(
        "select exchange_id, item, deadline, done_by, done_at, reminded_on from checklist_item"
        " where exchange_id = any($1) and not over order by exchange_id, deadline, item",
        exchange_ids,
    )
    lists: dict[UUID, list[Listed]] = {}
    for row in rows:
        lists.setdefault(row["exchange_id"], []).append(_listed(row))
    return lists


async def entry(tx: Transaction, exchange_id: UUID, item: Item) -> Listed:
    """One entry of the list.

    Raises:
        Unknown: it is not on the list of this exchange.
    """
    row = await tx.connection.fetchrow(
        "select item, deadline, done_by, done_at, reminded_on from checklist_item where exchange_id = $1 and item = $2",
        exchange_id,
        item,
    )
    if row is None:
        raise Unknown("not_on_the_checklist", "this is not on the checklist of this exchange")
    return _listed(row)


async def save_done(tx: Transaction, exchange_id: UUID, listed: Listed) -> None:
    """Whether it is done, by whom and when."""
    await tx.connection.execute(
        "update checklist_item set done_by = $3, done_at = $4 where exchange_id = $1 and item = $2",
        exchange_id,
        listed.entry.item,
        listed.done.by if listed.done else None,
        listed.done.at if listed.done else None,
    )


async def save_reminded(tx: Transaction, reminded: Sequence[tuple[UUID, Listed]]) -> None:
    """When somebody was last reminded of these entries of these exchanges."""
    await tx.connection.execute(
        """
        update checklist_item set reminded_on = new.reminded_on
        from unnest($1::uuid[], $2::text[], $3::date[]) as new (exchange_id, item, reminded_on)
        where checklist_item.exchange_id = new.exchange_id and checklist_item.item = new.item
        """,
        [exchange_id for exchange_id, _ in reminded],
        [listed.entry.item.value for _, listed in reminded],
        [listed.reminded_on for _, listed in reminded],
    )


def set_reminder(tx: Transaction, exchange_id: UUID, all_listed: Sequence[Listed]) -> None:
    """Asks for the next reminder of the list, or takes it back where there is none to come."""
    day = domain.next_reminder(all_listed, day_of(tx.now))
    if day is None:
        tx.unschedule(REMIND, exchange_id)
    else:
        tx.schedule(REMIND, exchange_id, max(start_of(day), tx.now))


async def late(tx: Transaction, page: Page) -> list[Late]:
    """What is late, the longest first."""
    deadline, exchange_id, item = page.after or (None, None, None)
    rows = await tx.connection.fetch(
        """
        select exchange_id, item, deadline, sender_country, host_country from checklist_item
        where done_at is null and not over and deadline < $1
          and ($2::text is null or $2 in (sender_country, host_country))
          and ($3::date is null or (deadline, exchange_id, item) > ($3, $4::uuid, $5::text))
        order by deadline, exchange_id, item limit $6
        """,
        day_of(tx.now),
        page.country,
        deadline,
        exchange_id,
        item,
        page.limit,
    )
    return [
        Late(row["exchange_id"], Entry(Item(row["item"]), row["deadline"]), row["sender_country"], row["host_country"])
        for row in rows
    ]


async def _write(tx: Transaction, exchange: Exchange, entries: Sequence[Entry]) -> None:
    """What was done stays done; of what has moved, somebody is reminded anew."""
    await tx.connection.execute(
        """
        insert into checklist_item (exchange_id, item, deadline, sender_country, host_country)
        select $1, item, deadline, $4, $5 from unnest($2::text[], $3::date[]) as one(item, deadline)
        on conflict (exchange_id, item) do update set deadline = excluded.deadline, reminded_on = null
        """,
        exchange.id,
        [entry.item.value for entry in entries],
        [entry.deadline for entry in entries],
        exchange.match.sender_country,
        exchange.match.host_country,
    )


def _listed(row: Any) -> Listed:
    done = Done(Party(row["done_by"]), row["done_at"]) if row["done_at"] else None
    return Listed(Entry(Item(row["item"]), row["deadline"]), done, row["reminded_on"])
