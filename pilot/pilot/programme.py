"""The programme as those who take part meet it: over public HTTP, and nothing else."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import httpx


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """The programme said no, by a rule that it names."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule


class UnexpectedAnswer(RuntimeError):  # noqa: N818 - it is one
    """An answer that nobody who plays by the rules should get."""


class Programme:
    """Requests to the services, each with the token of who makes it.

    What somebody does goes on with the trace of what they did before, which begins with their company's registration:
    ``traceresponse`` of the one answer is ``traceparent`` of the next request. Looking has no part in it.
    """

    def __init__(self, urls: Mapping[str, str]) -> None:
        """``urls``: base URL by service."""
        limits = httpx.Limits(max_keepalive_connections=20, keepalive_expiry=30)  # sooner than the services close
        self._http = {
            service: httpx.AsyncClient(base_url=url, timeout=30, limits=limits) for service, url in urls.items()
        }
        self.requests: Counter[str] = Counter()
        self._traces: dict[str, str] = {}
        """The trace of each token's last act."""

    async def get(self, service: str, path: str, token: str) -> Any:
        return await self._ask(service, "GET", path, token)

    async def pages(self, service: str, path: str, token: str) -> list[Any]:
        """A whole list, over all of its pages."""
        found: list[Any] = []
        following: str | None = path
        while following:
            answer = await self._answer(service, "GET", following, token)
            found += answer.json()
            following = answer.links.get("next", {}).get("url")
        return found

    async def register(self, form: Any, key: str) -> Any:
        """What a company gets for its draft, with which its trace begins."""
        answer = await self._answer("registration", "POST", "/companies", None, form, key)
        made = answer.json()
        self._follow(answer, made["token"])
        return made

    async def submit(self, company_id: str, token: str) -> Any:
        """Where a company stands once it has submitted its draft; its travellers go on with its trace."""
        path = f"/companies/{company_id}/submission"
        answer = await self._answer("registration", "POST", path, token)
        made = answer.json()
        for placement in made["placements"]:
            self._follow(answer, placement["traveller_token"])
        return made

    async def post(self, service: str, path: str, token: str | None, body: Any = None, key: str | None = None) -> Any:
        """``key``: the Idempotency-Key, for what creates."""
        return await self._ask(service, "POST", path, token, body, key)

    async def put(self, service: str, path: str, token: str, body: Any) -> Any:
        return await self._ask(service, "PUT", path, token, body)

    async def __aenter__(self) -> "Programme":
        return self

    async def __aexit__(self, *_: object) -> None:
        for http in self._http.values():
            await http.aclose()

    async def _ask(
        self, service: str, method: str, path: str, token: str | None, body: Any = None, key: str | None = None
    ) -> Any:
        answer = await self._answer(service, method, path, token, body, key)
        return answer.json() if answer.content else None

    async def _answer(
        self, service: str, method: str, path: str, token: str | None, body: Any = None, key: str | None = None
    ) -> httpx.Response:
        headers = ({"Authorization": f"Bearer {token}"} if token else {}) | ({"Idempotency-Key": key} if key else {})
        acts = method != "GET"
        if acts and token in self._traces:
            headers["traceparent"] = self._traces[token]
        answer = await self._http[service].request(method, path, json=body, headers=headers)
        self.requests[service] += 1
        if acts and token:
            self._follow(answer, token)
        if answer.status_code == httpx.codes.CONFLICT:
            problem = answer.json()
            raise Refused(problem["rule"], problem["detail"])
        if answer.is_error:
            raise UnexpectedAnswer(f"{service}: {method} {path} answered {answer.status_code}: {answer.text[:1000]}")
        return answer

    def _follow(self, answer: httpx.Response, token: str) -> None:
        if trace := answer.headers.get("traceresponse"):
            self._traces[token] = trace
