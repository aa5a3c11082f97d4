"""Every command in every stage: what it leads to, or the rule that does not allow it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from exchange import domain, during
from exchange.agreement import Giver
from exchange.domain import Decision
from exchange.state import Exchange
from sojourn_contracts.exchange import Stage
from sojourn_contracts.refusal import Refused
from sojourn_contracts.vocabulary import Party, Side

from tests.exchange import given
from tests.exchange.given import AFTER, ASKS, CLOSES, DAY, EXPIRES, FIRST, LONGER, NOON, STARTS, WINDOW_OVER

MUCH_LATER = CLOSES + timedelta(days=100)

SAME = "nothing changes"

COMMANDS: dict[str, Callable[[Exchange], Decision]] = {
    "open": lambda exchange: domain.open(exchange, given.proposal(), True, NOON),
    "accept": lambda exchange: domain.accept(exchange, Side.SENDER, NOON),
    "decline": lambda exchange: domain.decline(exchange, Side.HOST, "skills", NOON),
    "decline by the other": lambda exchange: domain.decline(exchange, Side.SENDER, "skills", NOON),
    "draft": lambda exchange: given.draft(exchange, LONGER, NOON),
    "sign": lambda exchange: domain.sign(exchange, Party.TRAVELLER, 1, NOON),
    "sign another version": lambda exchange: domain.sign(exchange, Party.TRAVELLER, 2, NOON),
    "approve": lambda exchange: domain.approve(exchange, "PT", 1, NOON),
    "send back": lambda exchange: domain.send_back(exchange, "PT", 1, "Hours are missing.", NOON),
    "start": lambda exchange: domain.start(exchange, STARTS),
    "confirm arrival": lambda exchange: during.confirm_arrival(exchange, Party.HOST, FIRST, STARTS),
    "ask if it fits": lambda exchange: during.ask(exchange, ASKS),
    "say if it fits": lambda exchange: during.say_if_it_fits(exchange, Party.HOST, True, ASKS),
    "record training": lambda exchange: during.record_training(
        exchange, Party.HOST, FIRST, "cheese-making", 4, Giver.HOST, STARTS
    ),
    "interrupt": lambda exchange: during.interrupt(exchange, Party.HOST, "illness", STARTS + 15 * DAY),
    "resume": lambda exchange: during.resume(exchange, Party.HOST, STARTS + 22 * DAY),
    "end early": lambda exchange: during.end_early(exchange, Side.HOST, STARTS + 21 * DAY),
    "end much too early": lambda exchange: during.end_early(exchange, Side.HOST, STARTS),
    "complete": lambda exchange: during.confirm_completion(exchange, Side.HOST, AFTER),
    "cancel": lambda exchange: domain.cancel(exchange, Side.SENDER, "dates", NOON),
    "cancel by the other": lambda exchange: domain.cancel(exchange, Side.HOST, "dates", NOON),
    "expire with the proposal": lambda exchange: domain.expire(exchange, EXPIRES),
    "expire with the window": lambda exchange: domain.expire(exchange, WINDOW_OVER),
    "close": lambda exchange: during.close(exchange, MUCH_LATER),
    "withdraw": lambda exchange: domain.withdraw(exchange, NOON),
    "company_gone": lambda exchange: domain.company_gone(exchange, NOON),
}

STAGES = list(Stage)

# By stage: proposed, accepted, drafted, in_validation, agreed, ongoing, interrupted,
# completed, declined, expired, withdrawn, cancelled
TABLE = """
open                     | =         =         =         =          =         =         =         =     =     =     =     =
accept                   | proposed  =         =         =          =         =         =         =     ended ended ended =
decline                  | declined  declined  declined  declined   late      late      late      ended =     ended ended ended
decline by the other     | declined  declined  declined  declined   late      late      late      ended ended ended ended ended
draft                    | early     drafted   drafted   drafted    agreed    ongoing   paused    ended ended ended ended ended
sign                     | early     early     drafted   =          =         =         =         =     ended ended ended =
sign another version     | early     early     stale     stale      stale     stale     stale     stale ended ended ended stale
approve                  | early     early     alien     validating alien     alien     alien     alien ended ended ended alien
send back                | early     early     alien     drafted    alien     alien     alien     alien ended ended ended alien
start                    | =         =         =         =          ongoing   =         =         =     =     =     =     =
confirm arrival          | early     early     early     early      early     ongoing   late      ended ended ended ended ended
ask if it fits           | =         =         =         =          =         ongoing   paused    =     =     =     =     =
say if it fits           | early     early     early     early      early     unasked   unasked   ended ended ended ended ended
record training          | early     early     early     early      early     ongoing   paused    ended ended ended ended ended
interrupt                | early     early     early     early      early     paused    =         ended ended ended ended ended
resume                   | early     early     early     early      early     early     ongoing   ended ended ended ended ended
end early                | early     early     early     early      early     ongoing   ongoing   ended ended ended ended ended
end much too early       | early     early     early     early      early     cancelled cancelled ended ended ended ended ended
complete                 | early     early     early     early      early     untrained late      =     ended ended ended ended
cancel                   | early     early     early     early      cancelled cancelled cancelled ended ended ended ended =
cancel by the other      | early     early     early     early      cancelled cancelled cancelled ended ended ended ended ended
expire with the proposal | expired   =         =         =          =         =         =         =     =     =     =     =
expire with the window   | expired   expired   expired   expired    =         =         =         =     =     =     =     =
close                    | =         =         =         =          =         cancelled cancelled =     =     =     =     =
withdraw                 | withdrawn withdrawn withdrawn withdrawn  =         =         =         =     =     =     =     =
company_gone             | withdrawn withdrawn withdrawn withdrawn  cancelled cancelled cancelled =     =     =     =     =
"""

SHORT = {
    "=": SAME,
    "early": "too_early",
    "late": "too_late",
    "stale": "stale_version",
    "alien": "not_your_exchange",
    "unasked": "not_asked_yet",
    "untrained": "no_training_recorded",
    "validating": "in_validation",
    "paused": "interrupted",
}
RULES = {"ended", *SHORT.values()} - {SAME, "in_validation", "interrupted"}

CASES = [
    (command.strip(), stage, SHORT.get(outcome, outcome))
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
