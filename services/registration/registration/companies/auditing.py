"""``registration audit``: what an operator, or an auditor, asks the chains of decisions."""

import typer
from chassis.commands import on_process
from chassis.service import Process, Service

from registration.companies import audit, store
from registration.companies.audit import Broken


def commands(service: Service) -> typer.Typer:
    """The commands, for this service's command line."""
    app = typer.Typer(no_args_is_help=True, help="The decisions about companies, each chained to the one before.")

    @app.callback()
    def audit_() -> None:  # pyright: ignore[reportUnusedFunction]
        """Keeps ``verify`` a command of its own though it is the only one."""

    @app.command()
    def verify() -> None:  # pyright: ignore[reportUnusedFunction]
        """Recomputes every chain and names the first broken row of each; ends with 1 if there is one."""
        companies, broken = on_process(service, _verified)
        for each in broken:
            typer.echo(f"broken: company {each.company_id}, decision {each.number} {each.what}")
        typer.echo(f"{companies} companies, {len(broken)} broken")
        if broken:
            raise typer.Exit(1)

    return app


async def _verified(process: Process) -> tuple[int, list[Broken]]:
    companies = 0
    broken: list[Broken] = []
    async with process.pool.acquire() as connection, connection.transaction():
        async for chain in store.chains(connection):
            companies += 1
            found = audit.first_broken(chain)
            broken += [found] if found else []
    return companies, broken
