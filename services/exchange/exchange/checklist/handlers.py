"""Reminders of what has to be done before a stay, when they fall due."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from chassis.doors import Door, Work, on_all_due
from chassis.transaction import Transaction

from exchange import store as exchanges
from exchange.checklist import domain, store
from exchange.state import day_of

SHORTLY = timedelta(milliseconds=100)
"""Of wall time, until due work comes back whose exchange somebody else had."""


@on_all_due(store.REMIND)
async def remind(works: Sequence[tuple[Work, Transaction]]) -> None:
    """Reminds of each entry whose day has come, and asks for the next reminder of its list; all lists at once.

    Does not wait for an exchange that somebody is acting on: they may be waiting to take this very work back. It comes back
    instead.
    """
    any_tx = works[0][1]
    by_id = {UUID(work.subject): (work, tx) for work, tx in works}
    free = await exchanges.locked_if_free(any_tx, list(by_id))
    lists = await store.of_each(any_tx, list(free))
    today, reminded = day_of(any_tx.now), []
    for exchange_id, exchange in free.items():
        tx, listed_after = by_id[exchange_id][1], []
        for listed in lists.get(exchange_id, ()):
            if domain.reminder_due(listed, today):
                tx.emit(domain.reminder(exchange, listed, today))
                listed = replace(listed, reminded_on=today)
                reminded.append((exchange_id, listed))
            listed_after.append(listed)
        store.set_reminder(tx, exchange_id, listed_after)
    await store.save_reminded(any_tx, reminded)
    busy = by_id.keys() - free.keys()
    for exchange_id in sorted(await exchanges.held_among(any_tx, list(busy)) if busy else ()):
        work, tx = by_id[exchange_id]
        tx.schedule(store.REMIND, exchange_id, work.at, not_before=datetime.now(UTC) + SHORTLY)


DOORS: tuple[Door, ...] = (remind,)
