"""How often something may be asked for: counted in PostgreSQL, so that all replicas count together.

A bucket empties steadily and holds as many as may come at once; what would overflow it is refused and does not count. Whose it
is, is kept as a keyed hash.
"""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from chassis.bounds import client_of
from chassis.problems import Problem
from chassis.transaction import Transaction
from fastapi import Depends, Request

from registration import signing
from registration.people.links import derived

WINDOW = timedelta(minutes=15)


@dataclass(frozen=True)
class Limit:
    """So many in 15 minutes for each whom it counts for."""

    name: str
    count: int


async def spend(tx: Transaction, limit: Limit, whose: str) -> None:
    """Counts one.

    Raises:
        Problem: 429, there have been too many.
    """
    bucket = derived(signing.keys(tx.settings.signing_key).signing.jwk, f"limit {limit.name}", whose)
    each = WINDOW / limit.count
    counted = await tx.connection.fetchval(
        """
        insert into rate_limit as held (bucket, used_until) values ($1, clock_timestamp() + $2::interval)
        on conflict (bucket) do update set used_until = greatest(held.used_until, clock_timestamp()) + $2::interval
        where held.used_until <= clock_timestamp() + $3::interval
        returning true
        """,
        bucket,
        each,
        WINDOW - each,
    )
    if not counted:
        wait: float = await tx.connection.fetchval(
            "select extract(epoch from used_until - clock_timestamp() - $2::interval)::float from rate_limit"
            " where bucket = $1",
            bucket,
            WINDOW - each,
        )
        seconds = max(1, math.ceil(wait))
        raise Problem(
            429, "too_many_requests", f"Too many; try again in {seconds} seconds", {"Retry-After": str(seconds)}
        )


async def spend_link(tx: Transaction, email: str) -> None:
    """Counts a link to an address that anybody may have said.

    Raises:
        Problem: 429, there have been too many.
    """
    await spend(tx, Limit("links to an address", tx.settings.sign_ins_per_address), email)


async def _client(request: Request) -> str:
    return client_of(request.scope)


Client = Annotated[str, Depends(_client)]
"""Who asks, as far as the network tells."""
