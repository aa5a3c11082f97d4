"""A session of somebody who takes part: its tokens, and how long the access token is still good."""

import asyncio
import math
import time
from dataclasses import dataclass, field
from typing import Any

AHEAD = 60.0
"""Seconds before its end at which an access token is no longer used: a request may be on its way for a while."""


@dataclass(eq=False)
class Session:
    """Of the wall clock, whatever the programme's says. Who has not signed in yet does so by a link to their address."""

    email: str = ""
    access_token: str = ""
    refresh_token: str = ""
    good_until: float = -math.inf
    """Monotonic seconds."""
    trace: str | None = None
    """The trace of their last act."""
    renewing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    def of_token(cls, token: str) -> "Session":
        """Of a token that a command gave, which lasts."""
        return cls(access_token=token, good_until=math.inf)

    def go_on(self, answer: Any) -> None:
        """With the tokens that registration answered."""
        self.access_token, self.refresh_token = answer["access_token"], answer["refresh_token"]
        self.good_until = time.monotonic() + answer["expires_in"] - AHEAD

    @property
    def over(self) -> bool:
        """Without an access token that is good."""
        return time.monotonic() > self.good_until
