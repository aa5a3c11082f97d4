"""The contract over HTTP, on every service: its page, the AsyncAPI document, each published schema, an example of each event.

A published schema is served byte by byte as it was released, at the path that is its ``$id``.

Anybody may read it: it tells what the system says, and nothing that the system knows. Pages of other sites may, too, which is how
most viewers of such documents work.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from sojourn_contracts.page import POLICY
from sojourn_contracts.refusal import Unknown
from sojourn_contracts.shipped import FOLDER

HTML, YAML, SCHEMA, JSON = "text/html", "application/yaml", "application/schema+json", "application/json"
ALIKE = {
    "Access-Control-Allow-Origin": "*",
    "Cache-Control": "no-cache",  # may be kept, and is asked about by its ETag: an event's page changes with each release
}

routes = APIRouter(prefix="/contracts", tags=["contract"])

Named = Annotated[str, Path(description="The event, as in `CompanyUpdated`.", max_length=64)]
Versioned = Annotated[str, Path(description="Major and minor version, as in `1.0`.", max_length=16)]


def _answers(media_type: str) -> dict[str, Any]:
    told: Any = {200: {"content": {media_type: {}}}, 304: {"description": "What `If-None-Match` names is still right."}}
    return {"response_class": Response, "responses": told}


@routes.get("/", **_answers(HTML))
async def page(request: Request) -> Response:
    """The contract for people."""
    return _answer(request, "index.html", HTML)


@routes.get("/asyncapi.yaml", **_answers(YAML))
async def document(request: Request) -> Response:
    """The contract for programs: AsyncAPI 3. What it refers to stands beside it."""
    return _answer(request, "asyncapi.yaml", YAML)


@routes.get("/published/{event}/{version}.json", **_answers(SCHEMA))
async def schema(event: Named, version: Versioned, request: Request) -> Response:
    """The JSON Schema of an event's data. Its `$id` is this path; events name it as `urn:sojourn:schema:<event>:<version>`."""
    return _answer(request, f"published/{event}/{version}.json", SCHEMA)


@routes.get("/examples/{event}.json", **_answers(JSON))
async def example(event: Named, request: Request) -> Response:
    """One event as it stands on its topic: headers, key and value."""
    return _answer(request, f"examples/{event}.json", JSON)


@dataclass(frozen=True)
class _File:
    content: bytes
    etag: str


def _read(entry: Traversable, path: str) -> Iterator[tuple[str, _File]]:
    if entry.is_dir():
        for each in entry.iterdir():
            yield from _read(each, f"{path}/{each.name}")
    else:
        content = entry.read_bytes()
        yield path, _File(content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')


_FILES = {
    path: file
    for name in ("index.html", "asyncapi.yaml", "published", "examples")
    for path, file in _read(FOLDER / name, name)
}
"""By path. A request is answered with one of these, and no path that it names reaches any other file."""


def _answer(request: Request, path: str, media_type: str) -> Response:
    file = _FILES.get(path)
    if file is None:
        raise Unknown("unknown_file", "The contract has no such file")
    headers = {**ALIKE, "ETag": file.etag}
    if media_type == HTML:
        headers["Content-Security-Policy"] = f"{POLICY}; frame-ancestors 'none'"
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if known & {file.etag, "*"}:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=media_type, headers=headers)
