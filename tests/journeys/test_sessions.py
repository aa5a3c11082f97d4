"""Whoever plays keeps their session going, as a client has to: one refresh at a time, before the access token ends."""

import asyncio
import math
from pathlib import Path
from uuid import uuid4

from pilot.programme import Programme
from registration.main import service

from tests.conftest import Driving
from tests.registration.forms import registration_form


async def test_a_session_is_refreshed_once_for_all_who_need_it(driving: Driving, tmp_path: Path):
    driver = await driving(service)
    async with Programme({"registration": "http://service"}, tmp_path) as programme:
        programme._http["registration"] = driver.http
        made, session = await programme.register(registration_form(), str(uuid4()))
        first, path = session.refresh_token, f"/companies/{made['company_id']}"
        await programme.get("registration", path, session)
        assert session.refresh_token == first
        session.good_until = -math.inf
        await asyncio.gather(*(programme.get("registration", path, session) for _ in range(5)))
        assert session.refresh_token != first
        assert not session.over
        assert programme.requests["registration"] == 1 + 1 + 5 + 1
        assert not await driver.rows("select from session where revoked_at is not null")
