"""Documents over HTTP: for the parties of an exchange and operators, as PDF; and for everybody, whether a certificate is valid.

Nothing is set while a transaction is open: what is needed is read first.
"""

from datetime import date
from typing import Annotated
from uuid import UUID

from chassis.http import OpenTx, Tx
from chassis.identity import Caller, Role, requires
from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel
from sojourn_contracts.vocabulary import Country

from exchange import store as exchanges
from exchange.documents import agreement, certificate, rendering, store
from exchange.documents.rendering import Document
from exchange.documents.words import DocumentLanguage
from exchange.state import Exchange, day_of

routes = APIRouter()

ReadingCaller = Annotated[Caller, Depends(requires(Role.COMPANY, Role.TRAVELLER, Role.OPERATOR))]
Code = Annotated[str, Path(max_length=64, description="as it is printed; hyphens and small letters do not matter")]


class Pdf(Response):
    media_type = "application/pdf"


class CertificateView(BaseModel):
    """What a certificate certifies; of nobody by name or id."""

    valid: bool = True
    sender_country: Country
    host_country: Country
    first_day: date
    last_day: date
    days: int
    """Calendar days that took place."""
    training_hours: int
    issued_on: date


@routes.get("/exchanges/{exchange_id}/agreement/{version}.pdf", response_class=Pdf)
async def agreement_pdf(
    exchange_id: UUID,
    version: Annotated[int, Path(ge=1, le=2**31 - 1)],
    caller: ReadingCaller,
    open_tx: OpenTx,
    language: DocumentLanguage = DocumentLanguage.EN,
) -> Pdf:
    """A version of the learning agreement, with the signatures under it."""
    async with open_tx() as tx:
        exchange = await exchanges.read(tx, exchange_id)
        _require_reader(exchange, caller)
        wanted = await exchanges.version(tx, exchange, version)
        document = agreement.document(wanted, exchange.match, tx.settings.taxonomy, language)
    return await _answer(document, f"agreement-{exchange_id}-{version}-{language}.pdf")


@routes.get("/exchanges/{exchange_id}/certificate.pdf", response_class=Pdf)
async def certificate_pdf(
    exchange_id: UUID, caller: ReadingCaller, open_tx: OpenTx, language: DocumentLanguage = DocumentLanguage.EN
) -> Pdf:
    """The certificate of participation, once the stay was completed."""
    async with open_tx() as tx:
        exchange = await exchanges.read(tx, exchange_id)
        _require_reader(exchange, caller)
        code = await store.code_of(tx, exchange_id)
        document = certificate.document(exchange, code, tx.settings.certificates_url, tx.settings.taxonomy, language)
    return await _answer(document, f"certificate-{exchange_id}-{language}.pdf")


@routes.get("/certificates/{code}")
async def verify(code: Code, tx: Tx, response: Response) -> CertificateView:
    """Whether a certificate is valid, for whoever has its code."""
    exchange = await exchanges.read(tx, await store.certified(tx, code))
    response.headers["Cache-Control"] = "no-store"
    return CertificateView(
        sender_country=exchange.match.sender_country,
        host_country=exchange.match.host_country,
        first_day=exchange.drafted.terms.first_day,
        last_day=exchange.last_day,
        days=exchange.counted_days,
        training_hours=exchange.stay.training_hours,
        issued_on=day_of(exchange.changed_at),
    )


async def _answer(document: Document, name: str) -> Pdf:
    headers = {"Content-Disposition": f'inline; filename="{name}"', "Cache-Control": "private, no-cache"}
    return Pdf(await rendering.pdf(document), headers=headers)


def _require_reader(exchange: Exchange, caller: Caller) -> None:
    if caller.role is not Role.OPERATOR:
        exchange.party_of(caller.company_id, caller.person_id if caller.role is Role.TRAVELLER else None)
