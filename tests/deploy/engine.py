"""A container engine that starts nothing: it speaks as much of Docker's API as that takes, and keeps what it was asked."""

import json
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PORT_TAKEN = "driver failed programming external connectivity: address already in use"


class Engine(ThreadingMixIn, UnixStreamServer):
    """It has these images, and refuses to start any container."""

    daemon_threads = True

    def __init__(self, socket: Path, images: Sequence[str]) -> None:
        super().__init__(str(socket), _Request)
        self.host = f"unix://{socket}"
        self.images = images
        self.containers: dict[str, Any] = {}
        """By name, those that it was asked to make and not to remove."""
        self.made: list[Any] = []
        """What it was asked to make."""

    def answer(self, verb: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        match verb, path.strip("/").split("/"):
            case "GET", ["version"]:
                return 200, {"ApiVersion": "1.41"}
            case "GET", ["images", *name, "json"] if "/".join(name) in self.images:
                return 200, {"Id": "/".join(name)}
            case "POST", ["containers", "create"]:
                (name,) = query["name"]
                self.containers[name] = {"Id": name, "State": {"Status": "created"}}
                self.made.append(body)
                return 201, {"Id": name}
            case "GET", ["containers", name, "json"] if name in self.containers:
                return 200, self.containers[name]
            case "POST", ["containers", name, "start"] if name in self.containers:
                return 500, {"message": PORT_TAKEN}
            case "DELETE", ["containers", name] if name in self.containers:
                del self.containers[name]
                return 204, None
            case _, [kind, *name]:
                return 404, {"message": f"No such {kind[:-1]}: {'/'.join(name)}"}
            case _:
                raise AssertionError(path)


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Engine

    def _answer(self) -> None:
        url = urlsplit(self.path)
        path = url.path.removeprefix("/v1.41")
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        status, answer = self.server.answer(self.command, path, parse_qs(url.query), json.loads(body or "null"))
        written = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(written)))
        self.end_headers()
        self.wfile.write(written)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        pass

    def address_string(self) -> str:
        return "a client"


@contextmanager
def an_engine(*images: str) -> Iterator[Engine]:
    folder = tempfile.mkdtemp()  # a socket's path must be short
    with Engine(Path(folder) / "engine.sock", images) as engine:
        serving = threading.Thread(target=engine.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield engine
        finally:
            engine.shutdown()
            serving.join()
            shutil.rmtree(folder)
