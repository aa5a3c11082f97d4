"""The programme as those who take part meet it: over public HTTP, and nothing else."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
from laptop import mails

from pilot.sessions import Session


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """The programme said no, by a rule that it names."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule


class UnexpectedAnswer(RuntimeError):  # noqa: N818 - it is one
    """An answer that nobody who plays by the rules should get."""


class Programme:
    """Requests to the services, each in the session of who makes it.

    What somebody does goes on with the trace of what they did before, which begins with their company's registration:
    ``traceresponse`` of the one answer is ``traceparent`` of the next request. Looking has no part in it.
    """

    def __init__(self, urls: Mapping[str, str], folder: Path) -> None:
        """``urls``: base URL by service. ``folder``: that of the run, where everybody's mail is caught."""
        self._folder = folder
        limits = httpx.Limits(max_keepalive_connections=20, keepalive_expiry=30)  # sooner than the services close
        self._http = {
            service: httpx.AsyncClient(base_url=url, timeout=30, limits=limits) for service, url in urls.items()
        }
        self.requests: Counter[str] = Counter()
        self._asked_for_interest = 0

    async def get(self, service: str, path: str, session: Session) -> Any:
        return await self._ask(service, "GET", path, session)

    async def pages(self, service: str, path: str, session: Session) -> list[Any]:
        """A whole list, over all of its pages."""
        found: list[Any] = []
        following: str | None = path
        while following:
            answer = await self._answer(service, "GET", following, session)
            found += answer.json()
            following = answer.links.get("next", {}).get("url")
        return found

    async def register(self, form: Any, key: str) -> tuple[Any, Session]:
        """What a company gets when it registers, and the session of who registers it: with a trace that begins here."""
        answer = await self._answer("registration", "POST", "/companies", None, form, key)
        made = answer.json()
        session = Session()
        session.go_on(made)
        self._follow(answer, session)
        return made, session

    async def submit(self, company_id: str, session: Session) -> Any:
        """Where a company stands once it has submitted its draft."""
        return await self.post("registration", f"/companies/{company_id}/submission", session)

    def asked_for_interest(self) -> list[str]:
        """Addresses to which has come the mail that asks whether a company is still interested, since this was last called."""
        all_ = mails.kept(self._folder, template="still_interested")
        new, self._asked_for_interest = all_[self._asked_for_interest :], len(all_)
        return sorted(mail.to for mail in new)

    async def post(
        self, service: str, path: str, session: Session | None, body: Any = None, key: str | None = None
    ) -> Any:
        """``key``: the Idempotency-Key, for what creates."""
        return await self._ask(service, "POST", path, session, body, key)

    async def put(self, service: str, path: str, session: Session, body: Any) -> Any:
        return await self._ask(service, "PUT", path, session, body)

    async def __aenter__(self) -> "Programme":
        return self

    async def __aexit__(self, *_: object) -> None:
        for http in self._http.values():
            await http.aclose()

    async def _ask(
        self, service: str, method: str, path: str, session: Session | None, body: Any = None, key: str | None = None
    ) -> Any:
        answer = await self._answer(service, method, path, session, body, key)
        return answer.json() if answer.content else None

    async def _answer(
        self, service: str, method: str, path: str, session: Session | None, body: Any = None, key: str | None = None
    ) -> httpx.Response:
        if session and session.over:
            await self._renew(session)
        headers = {"Authorization": f"Bearer {session.access_token}"} if session else {}
        headers |= {"Idempotency-Key": key} if key else {}
        acts = method != "GET"
        if acts and session and session.trace:
            headers["traceparent"] = session.trace
        answer = await self._http[service].request(method, path, json=body, headers=headers)
        self.requests[service] += 1
        if acts and session:
            self._follow(answer, session)
        if answer.status_code == httpx.codes.CONFLICT:
            problem = answer.json()
            raise Refused(problem["rule"], problem["detail"])
        if answer.is_error:
            raise UnexpectedAnswer(f"{service}: {method} {path} answered {answer.status_code}: {answer.text[:1000]}")
        return answer

    async def _renew(self, session: Session) -> None:
        """One at a time: a refresh token that comes twice ends the session."""
        async with session.renewing:
            if session.over and session.refresh_token:
                said = {"refresh_token": session.refresh_token}
                session.go_on(await self._ask("registration", "POST", "/sessions/refresh", None, said))
            elif session.over:
                await self._ask("registration", "POST", "/sign-in", None, {"email": session.email})
                mail = await mails.arrived(self._folder, to=session.email, template="sign_in")
                link = dict(parse_qsl(urlsplit(mail.link or "").fragment))
                session.go_on(await self._ask("registration", "POST", "/sessions", None, link))

    def _follow(self, answer: httpx.Response, session: Session) -> None:
        if trace := answer.headers.get("traceresponse"):
            session.trace = trace
