"""Other services ask for notices; mails are sent, and the connections to the mail server are kept."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from chassis.doors import Door, Received, consumes_all
from chassis.service import Process
from sojourn_contracts.notice import NoticeDue

from registration.notices.asked import take
from registration.notices.domain import Notice
from registration.notices.post import Post
from registration.notices.sending import send_link_mail, send_mail

COUNTERS = {
    "mails_accepted": "Mails that the mail server accepted.",
    "mails_refused": "Mails that it refused, or that were given up; they wait for an operator.",
}


@consumes_all(NoticeDue)
async def take_notices(received: Sequence[Received[NoticeDue]]) -> None:
    await take(
        [
            (
                Notice(
                    notice_id=each.event.notice_id,
                    asked_by=each.envelope.source.rpartition("/")[2],
                    recipient_id=each.event.recipient_id,
                    template=each.event.template,
                    parameters=each.event.parameters,
                    asked_at=each.tx.now,
                ),
                each.tx,
            )
            for each in received
        ]
    )


@asynccontextmanager
async def posting(process: Process) -> AsyncGenerator[Post]:
    """The mail server, for as long as the process runs; it may be away."""
    settings: Any = process.settings
    post = Post(settings)
    try:
        yield post
    finally:
        post.close()


DOORS: tuple[Door, ...] = (take_notices, send_link_mail, send_mail)
