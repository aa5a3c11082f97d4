"""The services as the public reaches them: over HTTP, at whichever of their processes answers."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

PATIENCE = 90.0
"""Seconds within which a request is answered, and the story gets on, whatever is struck meanwhile."""


class Public:
    """Asks at any of a service's processes, and again until one answers."""

    def __init__(self, urls: Mapping[str, Sequence[str]], chance: random.Random, within: float = 3) -> None:
        """A request that is not answered ``within`` that many seconds is lost."""
        self._urls = urls
        self._chance = chance
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(within, pool=None), limits=httpx.Limits(max_connections=60)
        )
        self.answers: Counter[str] = Counter()
        """By status; ``lost`` where none came."""
        self.mistakes: list[str] = []
        """What was answered with 500: trouble is a 503."""

    async def ask(
        self, service: str, method: str, path: str, token: str = "", body: Any = None, key: str = ""
    ) -> httpx.Response:
        """The first answer that is not a 5xx. The same key every time."""
        headers = ({"Authorization": f"Bearer {token}"} if token else {}) | ({"Idempotency-Key": key} if key else {})
        deadline = time.monotonic() + PATIENCE
        while True:
            url = self.url(service)
            try:
                answer = await self._http.request(method, url + path, json=body, headers=headers)
            except httpx.TransportError:
                self.answers["lost"] += 1
            else:
                self.answers[str(answer.status_code)] += 1
                if answer.status_code < 500:
                    return answer
                if answer.status_code == 500:
                    self.mistakes.append(f"{method} {url}{path}: {answer.text[:500]}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{service}: {method} {path} was not answered within {PATIENCE:.0f} s")
            await asyncio.sleep(0.1)

    def url(self, service: str) -> str:
        """Of a process, drawn for each request."""
        return self._chance.choice(self._urls[service])

    async def __aenter__(self) -> "Public":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()


def expect(answer: httpx.Response, *statuses: int) -> bool:
    """True for success, False for a refusal that this moment allows.

    Raises:
        AssertionError: any other answer, which nobody who plays by the rules should get.
    """
    if answer.status_code not in statuses and not answer.is_success:
        raise AssertionError(f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:500]}")
    return answer.is_success
