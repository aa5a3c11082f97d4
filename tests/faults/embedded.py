"""A system whose broker and database can be killed."""

from pathlib import Path
from typing import Any

import pytest
from laptop.postgres import Postgres
from laptop.system import System
from sojourn_contracts.catalogue import SERVICES


def embedded(folder: Path, **given: Any) -> System:
    """With servers of its own, whatever the environment names, and without the survey's sink.

    Its database does not wait for the disk, and so is soon back: what a killed process has written, the machine still has.
    """
    with pytest.MonkeyPatch.context() as environment:
        for name in ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL", "BACKING", "BROKERS"):
            environment.delenv(name, raising=False)
        system = System(folder, **({"services": SERVICES} | given))
    system.server = Postgres(system.folder / "postgres", log=system.logs / "postgres.log", settings={"fsync": "off"})
    return system
