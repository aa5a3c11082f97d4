"""Every command in every stage: what it leads to, or the rule that does not allow it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from exchange import domain
from exchange.domain import Decision
from exchange.state import Exchange
from sojourn_contracts.exchange import Stage
from sojourn_contracts.refusal import Refused
from sojourn_contracts.vocabulary import Party, Side

from tests.exchange import given
from tests.exchange.given import CLOSES, EXPIRES, LAST_NOON, NOON, OTHER_TERMS, STARTS, WINDOW_OVER

MUCH_LATER = CLOSES + timedelta(days=100)

SAME = "nothing changes"

COMMANDS: dict[str, Callable[[Exchange], Decision]] = {
    "open": lambda exchange: domain.open(exchange, given.proposal(), True, NOON),
    "accept": lambda exchange: domain.accept(exchange, Side.SENDER, NOON),
    "decline": lambda exchange: domain.decline(exchange, Side.HOST, "skills", NOON),
    "decline by the other": lambda exchange: domain.decline(exchange, Side.SENDER, "skills", NOON),
    "draft": lambda exchange: given.draft(exchange, OTHER_TERMS, NOON),
    "sign": lambda exchange: domain.sign(exchange, Party.TRAVELLER, 1, NOON),
    "sign another version": lambda exchange: domain.sign(exchange, Party.TRAVELLER, 2, NOON),
    "start": lambda exchange: domain.start(exchange, STARTS),
    "complete": lambda exchange: domain.complete(exchange, Side.HOST, 40, LAST_NOON),
    "complete by the other": lambda exchange: domain.complete(exchange, Side.SENDER, 40, LAST_NOON),
    "cancel": lambda exchange: domain.cancel(exchange, Side.SENDER, "dates", NOON),
    "cancel by the other": lambda exchange: domain.cancel(exchange, Side.HOST, "dates", NOON),
    "expire at the proposal's expiry": lambda exchange: domain.expire(exchange, EXPIRES),
    "expire at the window's end": lambda exchange: domain.expire(exchange, WINDOW_OVER),
    "close": lambda exchange: domain.close(exchange, MUCH_LATER),
    "withdraw": lambda exchange: domain.withdraw(exchange, NOON),
    "company_gone": lambda exchange: domain.company_gone(exchange, NOON),
}

STAGES = list(Stage)

# By stage: proposed, accepted, drafted, agreed, ongoing, completed, declined, expired, withdrawn, cancelled
TABLE = """
open                             | =            =         =         =         =         =         =      =      =         =
accept                           | proposed     =         =         =         =         =         ended  ended  ended     =
decline                          | declined     declined  declined  too_late  too_late  ended     =      ended  ended     ended
decline by the other             | declined     declined  declined  too_late  too_late  ended     ended  ended  ended     ended
draft                            | too_early    drafted   drafted   too_late  too_late  ended     ended  ended  ended     ended
sign                             | too_early    too_early drafted   =         =         =         ended  ended  ended     =
sign another version             | too_early    too_early stale     stale     stale     stale     ended  ended  ended     stale
start                            | =            =         =         ongoing   =         =         =      =      =         =
complete                         | too_early    too_early too_early too_early completed =         ended  ended  ended     ended
complete by the other            | too_early    too_early too_early too_early completed ended     ended  ended  ended     ended
cancel                           | too_early    too_early too_early cancelled cancelled ended     ended  ended  ended     =
cancel by the other              | too_early    too_early too_early cancelled cancelled ended     ended  ended  ended     ended
expire at the proposal's expiry  | expired      =         =         =         =         =         =      =      =         =
expire at the window's end       | expired      expired   expired   =         =         =         =      =      =         =
close                            | =            =         =         =         cancelled =         =      =      =         =
withdraw                         | withdrawn    withdrawn withdrawn =         =         =         =      =      =         =
company_gone                     | withdrawn    withdrawn withdrawn cancelled cancelled =         =      =      =         =
"""

RULES = {"too_early", "too_late", "ended", "stale_version"}

CASES = [
    (command.strip(), stage, {"=": SAME, "stale": "stale_version"}.get(outcome, outcome))
    for command, _, outcomes in (line.partition("|") for line in TABLE.strip().splitlines())
    for stage, outcome in zip(STAGES, outcomes.split(), strict=True)
]


def test_the_table_tells_every_command_in_every_stage():
    assert {(command, stage) for command, stage, _ in CASES} == {(name, stage) for name in COMMANDS for stage in Stage}


@pytest.mark.parametrize(("command", "stage", "outcome"), CASES)
def test_a_command_leads_where_the_table_says(command: str, stage: Stage, outcome: str):
    before = given.AT[stage]()
    if outcome in RULES:
        with pytest.raises(Refused) as refused:
            COMMANDS[command](before)
        assert refused.value.rule == outcome
        return
    after, events = COMMANDS[command](before)
    if outcome == SAME:
        assert after is before
        assert events == []
    else:
        assert after.stage == outcome
        assert after.revision == before.revision + 1
        assert [event.subject for event in events] == [before.id]
