"""Registration's wiring, as data, and its commands: tokens for those who do not register, and files of taxonomies."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from chassis.commands import read
from chassis.identity import Caller, Role
from chassis.service import Service
from fastapi import APIRouter

from registration import programme, signing, skills, taxonomy_files
from registration.companies import api, auditing, handlers, reviewing
from registration.notices import api as notices
from registration.notices import commands as notice_commands
from registration.notices import handlers as notice_handlers
from registration.settings import RegistrationSettings, SigningSettings

routes = APIRouter()
for router in (api.routes, reviewing.routes, notices.routes, skills.routes):
    routes.include_router(router)

service = Service(
    name="registration",
    routes=routes,
    doors=(*handlers.DOORS, *notice_handlers.DOORS),
    migrations=Path(__file__).parent / "migrations",
    settings=RegistrationSettings,
    counters=notice_handlers.COUNTERS,
    prepare=notice_handlers.posting,
)
command = service.command()
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
) -> None:
    """Prints a token, signed with the key in SIGNING_KEY; for several countries one each, a line for each."""
    if (company is not None) is not (role in (Role.COMPANY, Role.COMPANY_ADMIN)):
        raise typer.BadParameter("--company belongs to the roles company and company_admin, and to no other")
    if role is Role.TRAVELLER and person is None:
        raise typer.BadParameter("the role traveller needs --person")
    if bool(country) is not (role is Role.CONTACT_POINT):
        raise typer.BadParameter("--country belongs to the role contact_point, and to no other")
    for each in country or ():
        if each not in programme.COUNTRIES:
            raise typer.BadParameter(f"--country {each} is not a country of the programme")
    settings = read(SigningSettings, service.name)
    for each in country or (None,):
        caller = Caller(role, str(person or company or each or role), company, person, each)
        typer.echo(signing.token(caller, settings))
