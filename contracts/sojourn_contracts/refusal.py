"""How a domain says no: the name of a rule is part of the contract, it reaches clients in problem details."""

from collections.abc import Mapping


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not an error of the program
    """A rule of the domain does not allow this; nothing was changed.

    Over HTTP it is 409 with the rule's name; behind an event it is a dead letter with the rule as its cause.
    """

    def __init__(self, rule: str, detail: str, members: Mapping[str, int | str] | None = None) -> None:
        """``members``: what a program needs to go on; they stand beside the rule in the problem details."""
        super().__init__(f"{rule}: {detail}")
        self.rule = rule
        self.detail = detail
        self.members = members or {}


class NotYours(Refused):
    """The caller is no party to what it acts on: 403 over HTTP."""


class Unknown(Refused):
    """There is nothing under this id: 404 over HTTP."""


class Invalid(Refused):
    """A value breaks a rule that needs more than its own type to be checked: 422 over HTTP, with the field's path."""

    def __init__(self, rule: str, path: str, detail: str) -> None:
        super().__init__(rule, detail)
        self.path = path
