"""Registration's wiring, as data, and its commands: tokens for those who do not register, and files of taxonomies."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from chassis.commands import read
from chassis.identity import Caller, Role
from chassis.service import Service
from fastapi import APIRouter

from registration import keys, programme, signing, skills, taxonomy_files
from registration.clients import api as clients
from registration.clients import commands as client_commands
from registration.clients.granted import granted
from registration.companies import api, auditing, handlers, reviewing
from registration.erasure import api as erasures
from registration.erasure import command as erasure_command
from registration.erasure import forgetting, metrics
from registration.erasure.holdings import HELD
from registration.erasure.retention import KEPT
from registration.notices import api as notices
from registration.notices import commands as notice_commands
from registration.notices import handlers as notice_handlers
from registration.people import api as people
from registration.settings import RegistrationSettings, SigningSettings
from registration.sign_in import api as sign_in
from registration.sign_in import handlers as sign_in_handlers
from registration.sign_in import oidc_api
from registration.sign_in.sessions import ACCESS

routes = APIRouter()
for router in (
    api.routes,
    reviewing.routes,
    people.routes,
    sign_in.routes,
    oidc_api.routes,
    clients.routes,
    skills.routes,
    erasures.routes,
    notices.routes,
    HELD.routes(),
):
    routes.include_router(router)

service = Service(
    name="registration",
    routes=routes,
    doors=(*handlers.DOORS, *sign_in_handlers.doors, *notice_handlers.DOORS, *forgetting.DOORS),
    gauges=metrics.GAUGES,
    observed=metrics.observed,
    adopts=forgetting.ADOPTS,
    kept=KEPT,
    migrations=Path(__file__).parent / "migrations",
    settings=RegistrationSettings,
    counters=notice_handlers.COUNTERS,
    prepare=notice_handlers.posting,
)
command = service.command()
erasure_command.add_to(command, service)
command.add_typer(keys.command, name="keys")
command.add_typer(client_commands.command_line(service), name="clients")
command.add_typer(notice_commands.command_line(service), name="notices")
command.add_typer(taxonomy_files.command, name="taxonomy")
command.add_typer(auditing.commands(service), name="audit")


@command.command()
def token(
    role: Annotated[Role, typer.Option(help="who is to call with it")],
    company: Annotated[UUID | None, typer.Option(metavar="ID", help="the company, for the role company")] = None,
    person: Annotated[UUID | None, typer.Option(metavar="ID", help="the person, for the role traveller")] = None,
    country: Annotated[
        list[str] | None,
        typer.Option(metavar="CODE", help="ISO 3166-1 alpha-2, for the role contact_point; may be repeated"),
    ] = None,
    client: Annotated[
        str | None, typer.Option(metavar="NAME", help="the client of GRANTS, for the role subscriber")
    ] = None,
) -> None:
    """Prints a token, signed with the key in SIGNING_KEY; for several countries one each, a line for each.

    A subscriber's has the scopes that GRANTS has for it, and is as short as those that it gets itself.
    """
    if (company is not None) is not (role in (Role.COMPANY, Role.COMPANY_ADMIN)):
        raise typer.BadParameter("--company belongs to the roles company and company_admin, and to no other")
    if role is Role.TRAVELLER and person is None:
        raise typer.BadParameter("the role traveller needs --person")
    if bool(country) is not (role is Role.CONTACT_POINT):
        raise typer.BadParameter("--country belongs to the role contact_point, and to no other")
    for each in country or ():
        if each not in programme.COUNTRIES:
            raise typer.BadParameter(f"--country {each} is not a country of the programme")
    if (client is not None) is not (role is Role.SUBSCRIBER):
        raise typer.BadParameter("--client belongs to the role subscriber, and to no other")
    settings = read(SigningSettings, service.name)
    if client is not None:
        subscriber = granted(settings.grants).caller(client) if settings.grants else None
        if subscriber is None:
            raise typer.BadParameter(f"--client {client} has no grant over HTTP: there is none in GRANTS")
        typer.echo(signing.token(subscriber, settings, ACCESS))
        return
    for each in country or (None,):
        caller = Caller(role, str(person or company or each or role), company, person, each)
        typer.echo(signing.token(caller, settings))
