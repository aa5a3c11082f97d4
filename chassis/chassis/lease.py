"""A lease: one at a time, by a row that says who, since which epoch, and until when.

Guarantee 6: of all who ask, at most one holds a lease at any moment of the database's clock, and each holder has a higher
epoch than the one before. A holder that was frozen wakes up knowing that its time is over, since it counts from before it
renewed; and what it writes then is refused, since a leader's writes lock the row ``for share`` and check the epoch.
Not an advisory lock: a frozen holder would keep that for ever.
"""

import asyncio
import time
from contextlib import suppress
from uuid import UUID, uuid4

from chassis.database import Connection, Pool


class LeaseLost(Exception):  # noqa: N818 - it is what happened
    """Somebody else leads, or may lead by now."""


class Lease:
    """A claim on a name in this service's schema."""

    def __init__(self, pool: Pool, name: str, seconds: float) -> None:
        self._pool = pool
        self.name = name
        self._seconds = seconds
        self.holder: UUID = uuid4()
        self.epoch = 0
        self._until = 0.0

    @property
    def held(self) -> bool:
        """True while nobody else can have it; by the monotonic clock, counted from before the last renewal."""
        return time.monotonic() < self._until

    async def acquire(self) -> bool:
        """Takes the lease if it is free or over."""
        asked = time.monotonic()
        async with self._pool.acquire() as connection:
            epoch = await connection.fetchval(
                """
                insert into lease as mine (name, holder, epoch, until)
                values ($1, $2, 1, clock_timestamp() + $3 * interval '1 second')
                on conflict (name) do update
                set holder = excluded.holder, epoch = mine.epoch + 1, until = excluded.until
                where mine.until <= clock_timestamp()
                returning epoch
                """,
                self.name,
                self.holder,
                self._seconds,
            )
        if epoch is None:
            return False
        self.epoch, self._until = epoch, asked + self._seconds
        return True

    async def begin_anew(self) -> None:
        """Begins another epoch of the lease that it holds: what it wrote in this one and did not arrive yet is refused.

        Waits for what is arriving just now.

        Raises:
            LeaseLost: it was over.
        """
        await self._extend(1)

    async def renew(self) -> None:
        """Keeps the lease for its full time from now on.

        Raises:
            LeaseLost: it was over, and is not extended: somebody else may have led in between.
        """
        await self._extend(0)

    async def _extend(self, epochs: int) -> None:
        asked = time.monotonic()
        async with self._pool.acquire() as connection:
            epoch = await connection.fetchval(
                """
                update lease set until = clock_timestamp() + $4 * interval '1 second', epoch = epoch + $5
                where name = $1 and holder = $2 and epoch = $3 and until > clock_timestamp()
                returning epoch
                """,
                self.name,
                self.holder,
                self.epoch,
                self._seconds,
                epochs,
            )
        if epoch is None:
            self._until = 0.0
            raise LeaseLost(self.name)
        self.epoch, self._until = epoch, asked + self._seconds

    async def keep(self) -> None:
        """Renews three times per lease time, until cancelled; trouble is tried again while the lease lasts.

        Raises:
            LeaseLost: it could not be kept.
        """
        while True:
            await asyncio.sleep(self._seconds / 3)
            try:
                async with asyncio.timeout(self._seconds / 3):
                    await self.renew()
            except LeaseLost:
                raise
            except Exception as error:
                if not self.held:
                    raise LeaseLost(self.name) from error

    async def check(self, connection: Connection) -> None:
        """Locks the row for share, so that it cannot pass on before the transaction around this ends.

        Raises:
            LeaseLost: it is not held any more.
        """
        held = await connection.fetchval(
            "select true from lease where name = $1 and holder = $2 and epoch = $3 and until > clock_timestamp() for share",
            self.name,
            self.holder,
            self.epoch,
        )
        if not held:
            self._until = 0.0
            raise LeaseLost(self.name)

    async def release(self) -> None:
        """Gives the lease back, so that the next one need not wait; failing to is no harm."""
        self._until = 0.0
        with suppress(Exception):
            async with asyncio.timeout(2), self._pool.acquire() as connection:
                await connection.execute(
                    "update lease set until = clock_timestamp() where name = $1 and holder = $2 and epoch = $3"
                    " and until > clock_timestamp()",
                    self.name,
                    self.holder,
                    self.epoch,
                )
