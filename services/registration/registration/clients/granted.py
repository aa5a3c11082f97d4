"""What other systems may read over HTTP: the file of grants in GRANTS, read again while it changes under a running process.

A scope that is taken out of the file ends with the token that has it.
"""

import time
from functools import cache
from pathlib import Path

import structlog
from chassis.identity import Caller, Role
from sojourn_contracts import grants
from sojourn_contracts.grants import GrantsError

REREAD = 5.0
"""Seconds after which the file is read again: a mounted one changes under a running process."""

logger = structlog.get_logger(__name__)


class Granted:
    """The grants of a file; while it cannot be read, the last good ones stay, and the log says so."""

    def __init__(self, file: Path) -> None:
        """Raises: GrantsError."""
        self._file = file
        self._grants = grants.read(file)
        self._next_read = time.monotonic() + REREAD

    def caller(self, client: str) -> Caller | None:
        """Whom a token for this client is of; None if it may read nothing over HTTP."""
        scopes = self._read().scopes(client)
        return Caller(Role.SUBSCRIBER, client, scopes=scopes) if scopes else None

    def _read(self) -> grants.Grants:
        if time.monotonic() >= self._next_read:
            self._next_read = time.monotonic() + REREAD
            try:
                self._grants = grants.read(self._file)
            except GrantsError as error:
                logger.warning("grants not read again: the former ones are in force", reason=str(error))
        return self._grants


@cache
def granted(file: Path) -> Granted:
    """The one copy of a process.

    Raises:
        GrantsError: there is no such file, or it does not say what it should.
    """
    return Granted(file)
