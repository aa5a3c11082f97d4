"""Asks the Union's VAT Information Exchange System (VIES) about a number. It has three answers, and mostly trouble.

Only a whole answer about the number that was asked for, which says that it is valid or that it is not, counts as such. All else
is "unavailable": that a member state's register is away (``MS_UNAVAILABLE``) or has too many callers (``MS_MAX_CONCURRENT_REQ``),
which comes as ``isValid: false``; a time-out; an answer that makes no sense.

Source: the REST interface at https://ec.europa.eu/taxation_customs/vies/#/technical-information
"""

import asyncio
import random
from dataclasses import dataclass

import httpx
import structlog
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from registration.companies.eligibility import Vies

ATTEMPTS = 2
"""Within one look: most refusals for too many callers are over in a second."""
LONGEST_ANSWER = 64 * 1024

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Register:
    """Where VIES is, and how many seconds it has for all attempts of one look."""

    url: str
    seconds: float

    async def says(self, number: str) -> Vies:
        """``number`` has its country's prefix, as VIES writes it. Never raises for what comes from outside."""
        try:
            async with asyncio.timeout(self.seconds), httpx.AsyncClient(timeout=self.seconds) as http:
                for attempt in range(ATTEMPTS):
                    if attempt:
                        await asyncio.sleep(random.uniform(0.2, 0.6))
                    outcome, why = await self._asked(http, number)
                    if outcome is not Vies.UNAVAILABLE:
                        return outcome
        except TimeoutError:
            why = "time_out"
        logger.warning("vies unavailable", country=number[:2], why=why)
        return Vies.UNAVAILABLE

    async def _asked(self, http: httpx.AsyncClient, number: str) -> tuple[Vies, str]:
        url = f"{self.url.rstrip('/')}/ms/{number[:2]}/vat/{number[2:]}"
        body = b""
        try:
            async with http.stream("GET", url) as answer:
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > LONGEST_ANSWER:
                        return Vies.UNAVAILABLE, "too_long"
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return Vies.UNAVAILABLE, type(error).__name__
        if answer.status_code != httpx.codes.OK:
            return Vies.UNAVAILABLE, f"status_{answer.status_code}"
        return _read(body, number)


class _Answer(BaseModel):
    """The fields that count; there are more, such as the name of who has the number, which is none of our business."""

    model_config = ConfigDict(extra="ignore")

    is_valid: StrictBool = Field(alias="isValid")
    user_error: str = Field(alias="userError", max_length=100)
    vat_number: str | None = Field(default=None, alias="vatNumber")


def _read(body: bytes, number: str) -> tuple[Vies, str]:
    try:
        answer = _Answer.model_validate_json(body)
    except ValidationError:
        return Vies.UNAVAILABLE, "nonsense"
    if answer.vat_number is not None and answer.vat_number.upper().removeprefix(number[:2]) != number[2:]:
        return Vies.UNAVAILABLE, "about_another_number"
    match answer.is_valid, answer.user_error:
        case True, "VALID":
            return Vies.VALID, ""
        case False, "INVALID":
            return Vies.INVALID, ""
        case _:
            known = answer.user_error.replace("_", "").isalpha()
            return Vies.UNAVAILABLE, answer.user_error if known else "nonsense"
