"""Traces: a ``traceparent`` comes in with a request, an event or due work, and goes on with every effect of the work.

Where ``OTEL_TRACES_EXPORTER`` says so, spans are recorded and exported by OpenTelemetry's SDK, which is imported only then.
Else a span is bare ids in OpenTelemetry's context: they connect log lines, events and other systems' traces, and cost a few
microseconds. What spans there are is in ``spans.py``.

Personal data stays out: a span tells no path, no id of a subject and no message of an exception, since those quote values. A log
line with the same ``trace_id`` tells the rest.
"""

import asyncio
import random
import re
import sys
import threading
import traceback
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING

import structlog
from opentelemetry import context, trace
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

from chassis.failures import cause_of
from chassis.settings import TraceSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

logger = structlog.get_logger(__name__)

Attributes = Mapping[str, str | int]

FRAMES = 12
"""Innermost frames of an exception that a span tells; its log line has all."""

_TRACEPARENT = re.compile(r"[ \t]*([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?[ \t]*")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)

_provider: "TracerProvider | None" = None
_tracer: trace.Tracer | None = None
"""Set while spans are recorded."""


def recording() -> bool:
    """Whether spans are recorded; where they are not, nothing needs to be gathered for them."""
    return _tracer is not None


def span(
    name: str,
    traceparent: str | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Attributes | None = None,
    links: Iterable[str | None] = (),
) -> AbstractContextManager[str]:
    """Opens a span and gives its ``traceparent``.

    It descends from ``traceparent``; without a valid one it starts a new trace, whatever span is open, so that nothing is
    connected by chance. ``links`` are the traceparents of what else led to it.
    """
    if _tracer is None:
        return _Ids(_read(traceparent))
    return _Recorded(start(name, traceparent, kind, attributes, links))


def ids(traceparent: str | None = None) -> AbstractContextManager[str]:
    """A span that is never recorded."""
    return _Ids(_read(traceparent))


def start(
    name: str,
    traceparent: str | None,
    kind: SpanKind,
    attributes: Attributes | None = None,
    links: Iterable[str | None] = (),
) -> trace.Span:
    """Starts a span without opening it; whoever starts it ends it. Only while ``recording``."""
    if _tracer is None:
        raise RuntimeError("no spans are recorded")
    parent = _read(traceparent)
    return _tracer.start_span(
        name,
        context.Context() if parent is None else trace.set_span_in_context(_remote(parent), context.Context()),
        kind,
        attributes,
        [trace.Link(linked) for each in links if (linked := _read(each)) is not None],
    )


def current_traceparent() -> str | None:
    """The ``traceparent`` of the open span."""
    opened = trace.get_current_span().get_span_context()
    return traceparent_of(opened) if opened.is_valid else None


def failed(of: trace.Span, error: BaseException) -> None:
    """Notes on a span what it failed by: its kind and where, not its message."""
    if not of.is_recording():
        return
    kind = cause_of(error)
    of.set_status(trace.StatusCode.ERROR)
    of.set_attribute("error.type", kind)
    where = "".join(traceback.format_tb(error.__traceback__, limit=-FRAMES))
    of.add_event("exception", {"exception.type": kind, "exception.stacktrace": where})


def traceparent_of(of: SpanContext) -> str:
    """A span's ids, as they go on."""
    return f"00-{of.trace_id:032x}-{of.span_id:016x}-{of.trace_flags & 1:02x}"


def switch_on(service: str, settings: TraceSettings) -> None:
    """Records spans from now on and exports them in batches, if the settings say so."""
    if not settings.traced:
        return
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

    if settings.otel_traces_exporter == "console":
        exporter = ConsoleSpanExporter(out=sys.stdout, formatter=lambda span: f"{span.to_json(indent=None)}\n")
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter()
    record(service, BatchSpanProcessor(exporter))
    logger.info("traces are exported", exporter=settings.otel_traces_exporter)


def record(service: str, processor: "SpanProcessor") -> None:
    """Records spans from now on and hands them to a processor.

    The SDK reads resource, sampler and limits from the environment. The provider is ours alone: libraries that trace by
    themselves tell paths and messages.
    """
    global _provider, _tracer
    from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider

    named = SERVICE_NAME in OTELResourceDetector().detect().attributes
    resource = Resource.create({} if named else {SERVICE_NAME: service})
    _provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    _provider.add_span_processor(processor)
    _tracer = _provider.get_tracer("chassis")


async def switch_off(within: float) -> None:
    """Records no more, and exports what is left, for so many seconds at most: a collector that is away holds up no stop."""
    global _provider, _tracer
    provider, _provider, _tracer = _provider, None, None
    if provider is None:
        return
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def shut_down() -> None:
        provider.shutdown()
        with suppress(RuntimeError):  # nobody waits any more
            loop.call_soon_threadsafe(done.set)

    # A thread that the interpreter does not wait for: the SDK's own patience is half a minute.
    threading.Thread(target=shut_down, name="traces", daemon=True).start()
    try:
        async with asyncio.timeout(within):
            await done.wait()
    except TimeoutError:
        logger.warning("the last traces are lost: they could not be exported in time")


class _Ids:
    """A span of which nothing is kept but its ids, while it is open."""

    __slots__ = ("_opened", "_token")

    def __init__(self, parent: SpanContext | None) -> None:
        if parent is None:
            self._opened = SpanContext(_random(128), _random(64), is_remote=False, trace_flags=_SAMPLED)
        else:
            self._opened = SpanContext(parent.trace_id, _random(64), is_remote=False, trace_flags=parent.trace_flags)

    def __enter__(self) -> str:
        self._token = _attach(trace.NonRecordingSpan(self._opened))
        return traceparent_of(self._opened)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        context.detach(self._token)


class _Recorded:
    """A span that is told to the exporter when it ends."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def __enter__(self) -> str:
        self._token = _attach(self._span)
        return traceparent_of(self._span.get_span_context())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        context.detach(self._token)
        if error is not None:
            failed(self._span, error)
        self._span.end()


def _attach(span: trace.Span) -> Token[context.Context]:
    return context.attach(trace.set_span_in_context(span))


def _read(traceparent: str | None) -> SpanContext | None:
    """The ids that a ``traceparent`` of any version says; None if it is not valid."""
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more is not None):
        return None
    come = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return come if come.is_valid else None


def _remote(parent: SpanContext) -> trace.Span:
    return trace.NonRecordingSpan(parent)


def _random(bits: int) -> int:
    return random.getrandbits(bits) or 1
