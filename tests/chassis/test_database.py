"""What a connection of the pool is like, and what it is like when it comes back."""

from chassis.database import TIME_LIMITS, pool
from laptop.roles import Database


async def test_every_connection_has_the_time_limits_and_the_services_schema(database: Database):
    async with pool(database.url("survey"), "survey", 2) as connections:
        for name, limit in TIME_LIMITS.items():
            assert await connections.fetchval(f"show {name}") == limit
        assert await connections.fetchval("show search_path") == "survey"


async def test_a_connection_comes_back_without_its_open_transaction(database: Database):
    async with pool(database.url("survey"), "survey", 2) as connections:
        async with connections.acquire() as connection:
            process = await connection.fetchval("select pg_backend_pid()")
            await connection.execute("begin; set local statement_timeout = '7s'")
        async with connections.acquire() as connection:
            assert await connection.fetchval("select pg_backend_pid()") == process
            assert await connection.fetchval("show statement_timeout") == "0"
