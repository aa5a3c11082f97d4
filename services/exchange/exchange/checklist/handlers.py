"""Reminders of what has to be done before a stay, when they fall due."""

from collections.abc import Sequence
from dataclasses import replace

from chassis.doors import Door, Work, on_all_due
from chassis.transaction import Transaction

from exchange import store as exchanges
from exchange.checklist import domain, store
from exchange.state import day_of


@on_all_due(store.REMIND)
async def remind(works: Sequence[tuple[Work, Transaction]]) -> None:
    """Reminds of each entry whose day has come, and asks for the next reminder of its list; all lists at once."""
    any_tx = works[0][1]
    free = await exchanges.free(works)
    lists = await store.of_each(any_tx, [exchange.id for _, exchange in free])
    today, reminded = day_of(any_tx.now), []
    for tx, exchange in free:
        listed_after = []
        for listed in lists.get(exchange.id, ()):
            if domain.reminder_due(listed, today):
                tx.emit(domain.reminder(exchange, listed, today))
                listed = replace(listed, reminded_on=today)
                reminded.append((exchange.id, listed))
            listed_after.append(listed)
        store.set_reminder(tx, exchange.id, listed_after)
    await store.save_reminded(any_tx, reminded)


DOORS: tuple[Door, ...] = (remind,)
