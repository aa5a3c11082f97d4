"""The command `sojourn-contracts`, for who subscribes: it comes with the extra `kit`."""

import typer

from sojourn_contracts.kit import verify

command = typer.Typer(no_args_is_help=True, add_completion=False)


@command.callback()
def about() -> None:
    """What a subscriber can check of the contract, of what it received and of itself."""


command.command("verify")(verify.command)
