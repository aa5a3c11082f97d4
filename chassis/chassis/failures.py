"""Poison and trouble: what is the input's fault, and what is the surroundings'.

Guarantee 3: poison is a closed list (decoding, validation, a domain refusal, SQLSTATE classes 22 and 23, an exception of
the handler's own); it is set aside after a few tries and blocks nothing. Everything else is trouble: nothing is set aside,
the work waits and resumes.
"""

import random

import asyncpg
from aiokafka.errors import KafkaError


def is_trouble(error: BaseException) -> bool:
    """True for what waiting may cure.

    That is the operating system, time-outs, the connections' own errors, brokers, and every SQLSTATE but classes 22 and 23.
    """
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "")[:2] not in ("22", "23")
    return isinstance(error, (OSError, TimeoutError, KafkaError, asyncpg.InterfaceError, asyncpg.InternalClientError))


def cause_of(error: BaseException) -> str:
    """A short name of what went wrong, to group by: a refusal's rule, or the exception's type."""
    return getattr(error, "rule", None) or type(error).__name__


def backoff(attempt: int, longest: float = 10.0) -> float:
    """Seconds to wait before the next attempt, from 0.1 doubling up to ``longest``, with full jitter above half."""
    ceiling = min(longest, 0.1 * 2 ** min(attempt, 30))
    return ceiling * random.uniform(0.5, 1.0)
