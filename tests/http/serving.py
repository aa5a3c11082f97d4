"""A driver's application as clients meet it: on a port of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from laptop.ports import HOST, free_port

from tests.chassis.waiting import until
from tests.chassis_driver import Driver


@asynccontextmanager
async def served(driver: Driver) -> AsyncIterator[str]:
    """The address of the driver's application."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(driver.process.app, host=HOST, port=port, log_config=None, access_log=False, lifespan="off")
    )
    serving = asyncio.create_task(server.serve())
    try:

        async def is_up() -> bool:
            return server.started

        await until(is_up)
        yield f"http://{HOST}:{port}"
    finally:
        server.should_exit = True
        await serving
