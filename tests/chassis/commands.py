"""The survey's own command, as a process: what an operator and an orchestrator see of it."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from chassis.settings import MigrateSettings
from survey.settings import SurveySettings

COMMAND = Path(sys.executable).with_name("survey")
OURS = {name.upper() for kind in (SurveySettings, MigrateSettings) for name in kind.model_fields}


class Ended(NamedTuple):
    code: int | None
    out: str
    error: str


async def begun(*arguments: str, **environment: str) -> Process:
    """The command, with nothing of what it reads taken from our own environment."""
    plain = {name: value for name, value in os.environ.items() if name not in OURS}
    wide: Mapping[str, str] = {"COLUMNS": "250", "NO_COLOR": "1"}
    return await asyncio.create_subprocess_exec(
        COMMAND, *arguments, stdout=PIPE, stderr=PIPE, env={**plain, **wide, **environment}
    )


async def run(*arguments: str, **environment: str) -> Ended:
    process = await begun(*arguments, **environment)
    async with asyncio.timeout(60):
        out, error = await process.communicate()
    return Ended(process.returncode, out.decode(), error.decode())
