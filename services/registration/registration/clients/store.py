"""All the SQL about what clients prove themselves with."""

from chassis.transaction import Transaction


async def digest(tx: Transaction, client: str) -> bytes | None:
    """That of the client's secret; None if it has none."""
    return await tx.connection.fetchval("select digest from client_secret where client = $1", client)


async def set_digest(tx: Transaction, client: str, digest: bytes) -> None:
    """The former secret, if there was one, is good for nothing from now on."""
    await tx.connection.execute(
        """
        insert into client_secret (client, digest) values ($1, $2)
        on conflict (client) do update set digest = excluded.digest, made_at = clock_timestamp()
        """,
        client,
        digest,
    )


async def remove(tx: Transaction, client: str) -> bool:
    """Whether there was one."""
    removed = await tx.connection.fetchval("delete from client_secret where client = $1 returning true", client)
    return bool(removed)
