"""Who reads the live figures: a bearer token, or the same token in a cookie, since a browser sends no header of its own."""

from typing import Annotated

from chassis.identity import MAX_TOKEN, Caller, MaybeCaller, Role, requires, verify
from fastapi import Cookie, Depends, Request

COOKIE = "sojourn_evaluation"
"""Good for what is read under ``/evaluation`` only, and for as long as the token in it."""

_permitted = requires(Role.ANALYST, Role.EVALUATOR, Role.OPERATOR)


async def _reader(
    request: Request,
    presented: MaybeCaller,
    token: Annotated[str | None, Cookie(alias=COOKIE, max_length=MAX_TOKEN, include_in_schema=False)] = None,
) -> Caller:
    return await _permitted(presented or (await verify(token, request.app.state.keys) if token else None))


LiveReader = Annotated[Caller, Depends(_reader)]


async def admitted(request: Request, token: str) -> Caller:
    """Whom a token is of, if it may read the live figures.

    Raises:
        Problem: 401, it is not valid or has expired.
        NotYours: it is of another role.
    """
    return await _permitted(await verify(token, request.app.state.keys))
