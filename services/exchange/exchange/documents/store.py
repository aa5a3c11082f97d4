"""The SQL about certificates: each has a code that nobody can guess, by which it is verified."""

import base64
import secrets
from uuid import UUID

from chassis.transaction import Transaction
from sojourn_contracts.exchange import Stage
from sojourn_contracts.refusal import Unknown

from exchange.state import Exchange

CODE_BYTES = 20
"""160 random bits, 32 letters and digits."""


async def follow(tx: Transaction, exchange: Exchange) -> None:
    """A stay that was completed has a certificate, with the same code for good."""
    if exchange.stage is Stage.COMPLETED:
        await tx.connection.execute(
            "insert into certificate (exchange_id, code) values ($1, $2) on conflict do nothing", exchange.id, _code()
        )


async def code_of(tx: Transaction, exchange_id: UUID) -> str:
    """The code of an exchange's certificate.

    Raises:
        Unknown: ``not_completed``, there is none yet.
    """
    code = await tx.connection.fetchval("select code from certificate where exchange_id = $1", exchange_id)
    if code is None:
        raise Unknown("not_completed", "a certificate is issued once the stay was completed")
    return code


async def certified(tx: Transaction, code: str) -> UUID:
    """The exchange that a code certifies; however it is written: in groups, in small letters.

    Raises:
        Unknown: there is no such certificate.
    """
    exchange_id = await tx.connection.fetchval(
        "select exchange_id from certificate where code = $1", code.replace("-", "").upper()
    )
    if exchange_id is None:
        raise Unknown("unknown_certificate", "there is no certificate with this code")
    return exchange_id


def in_groups(code: str) -> str:
    """As it is printed, to be typed again: ABCD-EFGH-..."""
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4))


def _code() -> str:
    return base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode()
