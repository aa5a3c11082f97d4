"""How long registration keeps what nobody needs any more."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from chassis.retention import Kept, rows
from chassis.transaction import Transaction

from registration.erasure import forgetting, store
from registration.notices import store as notices


async def erase_drafts(tx: Transaction, age: timedelta, limit: int) -> int:
    """Companies that began so long ago, by the programme's time, and were never submitted: as if they had asked for it."""
    return await _erase(tx, await store.drafts_of_before(tx, tx.now - age, limit))


async def erase_gone(tx: Transaction, age: timedelta, limit: int) -> int:
    """Companies that left, were excluded or rejected so long ago, by the programme's time."""
    return await _erase(tx, await store.gone_before(tx, tx.now - age, limit))


async def forget_notices(tx: Transaction, age: timedelta, limit: int) -> int:
    """Notices that ended so long ago, by the programme's time; one of which a mail waits has not."""
    return await notices.forget_ended(tx, tx.now - age, limit)


async def _erase(tx: Transaction, company_ids: Sequence[UUID]) -> int:
    for company_id in company_ids:
        await forgetting.erase_company(tx, company_id)
    return len(company_ids)


KEPT = (
    Kept("draft_days", erase_drafts),
    Kept("gone_days", erase_gone),
    Kept("sign_in_days", rows("link", "link_id", "expires_at")),
    Kept("sign_in_days", rows("session", "session_id", "least(expires_at, revoked_at)")),
    Kept("vies_cache_days", rows("vat_check", "number", "checked_at")),
    Kept("notice_days", forget_notices),
)
