"""Registration's wiring, as data, and its commands: tokens for those who do not register, and files of taxonomies."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from chassis.commands import read
from chassis.identity import Caller, Role
from chassis.service import Service
from fastapi import APIRouter

from registration import api, signing, skills, taxonomy_files
from registration.settings import RegistrationSettings, SigningSettings

routes = APIRouter()
for router in (api.routes, skills.routes):
    routes.include_router(router)

service = Service(
    name="registration",
    routes=routes,
    migrations=Path(__file__).parent / "migrations",
    settings=RegistrationSettings,
)
command = service.command()
command.add_typer(taxonomy_files.command, name="taxonomy")


@command.command()
def token(
    role: Annotated[Role, typer.Option(help="who is to call with it")],
    company: Annotated[UUID | None, typer.Option(metavar="ID", help="the company, for the role company")] = None,
    person: Annotated[
        UUID | None, typer.Option(metavar="ID", help="the person, for the role traveller or contact_point")
    ] = None,
) -> None:
    """Prints a token, signed with the key in SIGNING_KEY."""
    if (company is not None) is not (role is Role.COMPANY):
        raise typer.BadParameter("--company belongs to the role company, and to no other")
    if role is Role.TRAVELLER and person is None:
        raise typer.BadParameter("the role traveller needs --person")
    caller = Caller(role, str(person or company or role), company, person)
    typer.echo(signing.token(caller, read(SigningSettings, service.name)))
