"""The batch runner, without a database: what fails costs only itself, and what waiting cures waits."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence

import asyncpg
import asyncpg.exceptions
import pytest
from aiokafka.errors import KafkaConnectionError, NotLeaderForPartitionError
from chassis.batch import IN_A_ROW, Batches, Halted
from chassis.database import Pool
from chassis.failures import backoff, cause_of, is_trouble
from sojourn_contracts.envelope import Malformed
from sojourn_contracts.refusal import Refused

POISON = (
    Malformed("data.revision", "is missing"),
    Refused("stale_version", "it has moved on"),
    asyncpg.UniqueViolationError("23505"),
    asyncpg.CheckViolationError("23514"),
    asyncpg.NumericValueOutOfRangeError("22003"),
    asyncpg.DataError("22000"),
    ValueError("of a handler's own"),
    KeyError("a bug"),
    RecursionError("a bug"),
)
TROUBLE = (
    OSError("the disk"),
    ConnectionResetError("the network"),
    TimeoutError("too slow"),
    TimeoutError("the same"),
    KafkaConnectionError("no broker"),
    NotLeaderForPartitionError("another broker"),
    asyncpg.InterfaceError("the connection is closed"),
    asyncpg.InternalClientError("the protocol"),
    asyncpg.ConnectionDoesNotExistError("08003"),
    asyncpg.UndefinedColumnError("42703"),
    asyncpg.UndefinedTableError("42P01"),
    asyncpg.InsufficientPrivilegeError("42501"),
    asyncpg.DeadlockDetectedError("40P01"),
    asyncpg.LockNotAvailableError("55P03"),
    asyncpg.AdminShutdownError("57P01"),
    asyncpg.DiskFullError("53100"),
    asyncpg.IdleInTransactionSessionTimeoutError("25P03"),
)


@pytest.mark.parametrize("error", POISON, ids=lambda error: type(error).__name__)
async def test_poison_is_set_aside_after_a_few_tries_and_blocks_nothing(error: Exception):
    """Guarantee 3."""
    runner = Runner({2: error})
    await runner.run(1, 2, 3)
    assert runner.done == [1, 3]
    assert runner.aside == [(2, error)]
    assert runner.transactions.count([2]) == (1 if isinstance(error, Malformed) else 3)


@pytest.mark.parametrize("error", TROUBLE, ids=lambda error: type(error).__name__)
async def test_trouble_sets_nothing_aside_and_the_work_waits_and_resumes(error: Exception):
    """Guarantee 3."""
    runner = Runner({2: error})
    waiting = deque([1, 2, 3])
    with pytest.raises(type(error)):
        await runner.batches.run(waiting)
    assert (list(waiting), runner.done, runner.aside) == ([1, 2, 3], [], [])
    runner.faults.clear()
    await runner.batches.run(waiting)
    assert (list(waiting), runner.done, runner.aside) == ([], [1, 2, 3], [])


async def test_a_value_that_postgres_cannot_take_is_poison(pool: Pool):
    for statement, argument in (
        ("select $1::bigint", 2**70),
        ("select $1::int", "text"),
        ("select $1::text", "a\x00b"),
        ("select $1::text", "\ud800"),
        ("select $1::text::jsonb", '"\\u0000"'),
        ("select $1::text::date", "30 February"),
        ("select 1 / $1::int", 0),
    ):
        with pytest.raises(asyncpg.PostgresError) as failure:
            await pool.fetchval(statement, argument)
        assert not is_trouble(failure.value), repr(failure.value)


def test_of_all_that_postgres_may_say_only_classes_22_and_23_are_poison():
    """Guarantee 3: poison is a closed list; what says no class is none of it."""
    known = [kind for kind in vars(asyncpg.exceptions).values() if isinstance(kind, type)]
    errors = [kind for kind in known if issubclass(kind, asyncpg.PostgresError)]
    poison = {(kind.sqlstate or "none")[:2] for kind in errors if not is_trouble(kind("said"))}
    assert poison == {"22", "23"}
    assert len({(kind.sqlstate or "none")[:2] for kind in errors}) > 30, "these are all there are"


@pytest.mark.parametrize("together", [None, ValueError("no")], ids=["in a batch", "one by one"])
async def test_being_cancelled_sets_nothing_aside(together: Exception | None):
    """Guarantee 3: that the process stops is no fault of the item in hand."""
    runner = Runner({1: asyncio.CancelledError()}, times=1, together=together)
    waiting = deque([1, 2])
    with pytest.raises(asyncio.CancelledError):
        await runner.batches.run(waiting)
    assert (list(waiting), runner.done, runner.aside) == ([1, 2], [], [])


async def test_a_batch_takes_effect_whole_and_only_its_poisonous_item_is_set_aside():
    """Guarantee 4."""
    poison = ValueError("no")
    runner = Runner({4: poison})
    await runner.run(*range(1, 9))
    assert runner.done == [1, 2, 3, 5, 6, 7, 8], "each once, in order"
    assert runner.aside == [(4, poison)]
    assert runner.transactions[0] == [1, 2, 3, 4, 5, 6, 7, 8], "first all in one"


async def test_poison_that_a_retry_cures_is_not_set_aside():
    runner = Runner({2: ValueError("now and then")}, times=3)
    await runner.run(1, 2, 3)
    assert (runner.done, runner.aside) == ([1, 2, 3], [])


async def test_what_cannot_be_read_is_not_tried_again():
    runner = Runner({2: Malformed("key", "wrong")})
    await runner.run(1, 2, 3)
    assert runner.transactions.count([2]) == 1


async def test_trouble_while_one_by_one_keeps_what_is_left():
    runner = Runner({2: ValueError("no"), 3: OSError("away")}, together=ValueError("no"))
    waiting = deque([1, 2, 3, 4])
    with pytest.raises(OSError, match="away"):
        await runner.batches.run(waiting)
    assert (list(waiting), runner.done, [item for item, _ in runner.aside]) == ([3, 4], [1], [2])


async def test_an_item_that_cannot_be_set_aside_stays():
    runner = Runner({1: ValueError("no")}, setting_aside=OSError("away"))
    waiting = deque([1, 2])
    with pytest.raises(OSError, match="away"):
        await runner.batches.run(waiting)
    assert list(waiting) == [1, 2]


async def test_after_ten_items_set_aside_in_a_row_the_runner_halts_and_says_so():
    """Guarantee 5."""
    runner = Runner({number: ValueError("all wrong") for number in range(100)})
    waiting = deque(range(30))
    with pytest.raises(Halted):
        await runner.batches.run(waiting)
    assert runner.batches.halted
    assert len(runner.aside) == IN_A_ROW == 10
    assert list(waiting) == list(range(10, 30))


async def test_nine_in_a_row_again_and_again_do_not_halt():
    runner = Runner({number: ValueError("many wrong") for number in range(60) if number % 10})
    await runner.run(*range(60))
    assert not runner.batches.halted
    assert (len(runner.done), len(runner.aside)) == (6, 54)


async def test_a_batch_that_goes_well_ends_the_row():
    """Guarantee 5."""
    bad = [*range(1, 10), 20]
    runner = Runner({number: ValueError("some wrong") for number in bad})
    await runner.run(*range(21))
    assert not runner.batches.halted
    assert list(range(10, 20)) in runner.transactions, "whole, between the ninth and the tenth"
    assert [item for item, _ in runner.aside] == bad


def test_pauses_grow_up_to_a_limit_and_never_meet():
    for attempt in range(2_000):
        assert min(10.0, 0.1 * 2 ** min(attempt, 30)) / 2 <= backoff(attempt) <= 10.0
    assert len({backoff(3) for _ in range(50)}) > 40
    assert 300 <= backoff(20, longest=600) <= 600, "a longer limit is reached"


def test_a_cause_is_a_rule_or_the_kind_of_the_error():
    assert cause_of(Refused("stale_version", "it has moved on")) == "stale_version"
    assert cause_of(KeyError("x")) == "KeyError"


class Runner:
    """Batches over numbers; some fail, alone and in company."""

    def __init__(
        self,
        faults: Mapping[int, BaseException],
        times: int = 1_000_000,
        together: Exception | None = None,
        setting_aside: Exception | None = None,
    ) -> None:
        self.faults = dict(faults)
        self._times = times
        self._together = together
        self._setting_aside = setting_aside
        self.transactions: list[list[int]] = []
        self.done: list[int] = []
        self.aside: list[tuple[int, Exception]] = []
        self.batches = Batches[int](self._do, self._put_aside)

    async def run(self, *items: int) -> None:
        await self.batches.run(deque(items))

    async def _do(self, items: Sequence[int]) -> None:
        self.transactions.append(list(items))
        if self._together is not None and len(items) > 1:
            raise self._together
        for item in items:
            if item in self.faults and self._times:
                self._times -= 1
                raise self.faults[item]
        self.done += items

    async def _put_aside(self, item: int, error: Exception) -> None:
        if self._setting_aside is not None:
            raise self._setting_aside
        self.aside.append((item, error))
