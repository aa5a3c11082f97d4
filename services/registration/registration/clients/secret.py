"""What a client proves itself with: 256 random bits, said once and kept as their digest."""

import hashlib
import hmac
import secrets

from chassis.transaction import Transaction

from registration.clients import store


async def made(tx: Transaction, client: str) -> str:
    """A new one, in the place of the former: 43 characters, kept nowhere."""
    secret = secrets.token_urlsafe(32)
    await store.set_digest(tx, client, _digest(secret))
    return secret


async def proves(tx: Transaction, client: str, said: str) -> bool:
    """Whether this is the client's secret; it takes as long for a client that there is not."""
    kept = await store.digest(tx, client)
    return hmac.compare_digest(_digest(said), kept or bytes(32))


def _digest(secret: str) -> bytes:
    """Plain SHA-256 is enough for 256 random bits."""
    return hashlib.sha256(secret.encode()).digest()
