"""One story to test with: a company in Germany sends a traveller to one in Portugal; its events are the contracts' examples."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from sojourn_contracts.company import CompanyRegistered, CompanyUpdated, CompanyWithdrawn
from sojourn_contracts.event import Event
from sojourn_contracts.exchange import ExchangeAgreed, ExchangeCancelled, ExchangeCompleted, ExchangeUpdated
from sojourn_contracts.match import MatchDeclined, MatchProposed

E = TypeVar("E", bound=Event)

EXAMPLES = Path(__file__).parents[2] / "contracts" / "examples"


def example(event: type[E], **changes: Any) -> E:
    value = json.loads((EXAMPLES / f"{event.__name__}.json").read_text())["value"]
    return event.model_validate(value | changes)


COMPLETED = example(ExchangeCompleted)
EXCHANGE, SENDER, HOST, TRAVELLER = (
    COMPLETED.exchange_id,
    COMPLETED.sender_id,
    COMPLETED.host_id,
    COMPLETED.traveller_id,
)
NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)
"""The day after the completion."""

PROPOSED = example(MatchProposed)
ACCEPTED = example(ExchangeUpdated, revision=2, stage="accepted")
DRAFTED = example(ExchangeUpdated)
AGREED = example(ExchangeAgreed)
IN_VALIDATION = example(ExchangeUpdated, revision=5, stage="in_validation")
ONGOING = example(ExchangeUpdated, revision=7, stage="ongoing")
INTERRUPTED = example(ExchangeUpdated, revision=8, stage="interrupted")
RESUMED = example(ExchangeUpdated, revision=9, stage="ongoing")
SENDER_REGISTERED = example(
    CompanyRegistered, **example(CompanyUpdated).model_dump() | {"revision": 1, "country": "AT"}
)
SENDER_UPDATED = example(CompanyUpdated)
HOST_REGISTERED = example(CompanyRegistered)
SENDER_LEFT = example(CompanyWithdrawn, company_id=SENDER)
DECLINED = example(MatchDeclined, match_id=EXCHANGE, revision=3, sender_id=SENDER, host_id=HOST)
CANCELLED = example(ExchangeCancelled, exchange_id=EXCHANGE, sender_id=SENDER, host_id=HOST, traveller_id=TRAVELLER)


def completed(number: int) -> ExchangeCompleted:
    """Another exchange between companies of its own."""
    return example(
        ExchangeCompleted,
        exchange_id=UUID(int=4 * number),
        sender_id=UUID(int=4 * number + 1),
        host_id=UUID(int=4 * number + 2),
        traveller_id=UUID(int=4 * number + 3),
    )


def registered(company_id: UUID, **changes: Any) -> CompanyRegistered:
    return example(CompanyRegistered, company_id=company_id, **changes)


SENDER_ANSWERS = {"SEND_MATCH": "5", "XBORDER": "4", "NEWPROD": "yes", "OVERALL": "4"}
HOST_ANSWERS = {"HOST_MATCH": "2", "XBORDER": "98", "NEWPROD": "no", "OVERALL": "3"}
TRAVELLER_ANSWERS = {"EMP_PROFDEV": "5", "OVERALL": "5", "RECOMMEND": "yes"}
