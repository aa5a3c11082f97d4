"""Structured logs: one JSON object per line, or readable on a terminal, for our own lines and those of every library.

A line carries the ids that were bound around the work: ``correlation_id`` is the same from the
request to the last effect.
Tokens and passwords that slip into a line are blotted out; personal data is not logged at all.
"""

import logging
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor, WrappedLogger

_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s@]+@")
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_DETAIL = re.compile(r"DETAIL:.*")
"""Of PostgreSQL's errors: it repeats the row, with whoever is in it."""
_SECRET_NAMES = frozenset(
    {
        "authorization",
        "token",
        "access_token",
        "refresh_token",
        "id_token",
        "password",
        "secret",
        "client_secret",
        "code_verifier",
        "private_key",
    }
)

QUIET = ("aiokafka", "asyncio", "httpcore", "httpx")
"""Libraries whose lines below a warning say nothing to an operator."""


def configure(service: str, format: str = "auto", level: str = "info") -> None:  # noqa: A002 - as the setting is called
    """Sends every line of this process, ours and the libraries', to standard error in one format: standard output is
    for what commands answer.

    Start uvicorn with ``log_config=None`` and give FastStream's broker a standard logger, or they bring their own
    handlers.
    """
    json = format == "json" or (format == "auto" and not sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _service(service),
        _trace,
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    render: Processor = structlog.processors.JSONRenderer(default=str)
    if not json:
        # Plain, since the fancy one shows the variables of every frame.
        plain = structlog.dev.plain_traceback
        render = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _discreet,
                render,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    _route_libraries(level)


def _route_libraries(level: str) -> None:
    for name in list(logging.root.manager.loggerDict):
        if name.split(".")[0] in ("uvicorn", "faststream", *QUIET):
            library = logging.getLogger(name)
            library.handlers = []
            library.propagate = True
    if level != "debug":
        for name in QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)
    # Our own access line has the route, the ids and the duration.
    logging.getLogger("uvicorn.access").disabled = True


@contextmanager
def bound(**ids: str | UUID | None) -> Generator[None]:
    """Adds ids to every line that is written inside, also by libraries; None adds nothing."""
    with structlog.contextvars.bound_contextvars(
        **{name: str(value) for name, value in ids.items() if value is not None}
    ):
        yield


_untraced: ContextVar[bool] = ContextVar("untraced", default=False)


@contextmanager
def untraced() -> Generator[None]:
    """Lines that are written inside name no trace, whatever span is open."""
    token = _untraced.set(True)
    try:
        yield
    finally:
        _untraced.reset(token)


def _service(service: str) -> Processor:
    def add(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
        line["service"] = service
        return line

    return add


def _trace(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid and not _untraced.get():
        line.setdefault("trace_id", f"{context.trace_id:032x}")
        line.setdefault("span_id", f"{context.span_id:016x}")
    return line


def _discreet(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    for name, value in line.items():
        if name.lower() in _SECRET_NAMES:
            line[name] = "***"
        elif isinstance(value, str):
            line[name] = blot(value)
    return line


def blot(text: str) -> str:
    """The text without the passwords of URLs, without tokens, and without the rows in PostgreSQL's errors."""
    if "DETAIL:" in text:
        text = _DETAIL.sub("DETAIL: ***", text)
    if "://" in text:
        text = _PASSWORD.sub(r"\1***@", text)
    return _TOKEN.sub("***", text) if "eyJ" in text else text
