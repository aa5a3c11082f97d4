"""Sends the links that somebody asked for, after they have had their answer: it took the same time whoever they are."""

from chassis.doors import Work, on_due
from chassis.transaction import Transaction
from uuid_utils.compat import uuid7

from registration.notices.asked import ask
from registration.people import store as people
from registration.sign_in import store
from registration.sign_in.domain import Link, Purpose

SEND_LINKS = "send_links"


@on_due(SEND_LINKS)
async def send_links(work: Work, tx: Transaction) -> None:
    """One link for each person who has the address: it may be several persons', in one company or more."""
    email = work.data["email"]
    links = [Link(uuid7(), person.person_id, Purpose.SIGN_IN, email) for person in await people.with_address(tx, email)]
    await send(tx, *links)
    await store.forget_ended(tx)


async def send(tx: Transaction, *links: Link) -> None:
    """Links live from now on, and their mails are asked for."""
    await store.add_links(tx, links)
    for link in links:
        await ask(tx, link.link_id, link.person_id, _TEMPLATES[link.purpose], {"link": str(link.link_id)})


_TEMPLATES = {Purpose.SIGN_IN: "sign_in", Purpose.INVITATION: "invited", Purpose.ADDRESS: "new_address"}

doors = (send_links,)
