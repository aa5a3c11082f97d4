"""What spans there are, by the semantic conventions of OpenTelemetry for HTTP and messaging: names, kinds, attributes, links.

=========================  ========  ==============================================================
``POST /companies``        server    a request, until its answer is sent
``process MatchProposed``  consumer  an event in its handler; descends from where it was emitted
``due search``             internal  due work in its handler or errand; descends from what asked for it
``emit MatchProposed``     producer  the moment a transaction emits an event, which carries its ids on
``publish MatchProposed``  client    a topic's part of a Kafka transaction; links to where its events were emitted
=========================  ========  ==============================================================

A handler of whole batches has one span with a link to each of its causes; what it emits for one of them descends from that one.
Where something carries no trace, as released answers do, its spans have neither parent nor link.
"""

from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from uuid import UUID

from opentelemetry import trace
from opentelemetry.trace import SpanKind
from sojourn_contracts.envelope import Envelope
from sojourn_contracts.event import Event
from starlette.types import Scope

from chassis import telemetry

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
_OTHER = "HTTP"
"""Instead of a method that nobody knows: it may say anything."""
_KAFKA: dict[str, str | int] = {"messaging.system": "kafka"}


def request(scope: Scope, traceparent: str | None) -> AbstractContextManager[str]:
    """A request; ``answered`` tells the rest once it is known."""
    if not telemetry.recording():
        return telemetry.ids(traceparent)
    name = _method(scope)
    attributes = {
        "http.request.method": "_OTHER" if name == _OTHER else name,
        "url.scheme": scope.get("scheme", "http"),
    }
    return telemetry.span(name, traceparent, SpanKind.SERVER, attributes)


def answered(scope: Scope, route: str | None, status: int, error: Exception | None) -> None:
    """What became of the open span's request; ``route`` is None where nothing of ours is, ``status`` 0 without an answer."""
    opened = trace.get_current_span()
    if not opened.is_recording():
        return
    if route is not None:
        opened.update_name(f"{_method(scope)} {route}")
        opened.set_attribute("http.route", route)
    if status:
        opened.set_attribute("http.response.status_code", status)
    if error is not None:
        telemetry.failed(opened, error)
    elif status >= 500:
        opened.set_status(trace.StatusCode.ERROR)
        opened.set_attribute("error.type", str(status))


def committed() -> None:
    """The transaction of the open span's work is committed."""
    if telemetry.recording():
        trace.get_current_span().add_event("committed")


def process(envelope: Envelope) -> AbstractContextManager[str]:
    """An event, or a tombstone, in its handler."""
    if not telemetry.recording():
        return telemetry.ids(envelope.traceparent)
    attributes = _processing(envelope.event) | {"messaging.message.id": str(envelope.id)}
    return telemetry.span(f"process {envelope.event.__name__}", envelope.traceparent, SpanKind.CONSUMER, attributes)


def process_all(event: type[Event], envelopes: Sequence[Envelope]) -> AbstractContextManager[object]:
    """All events of a kind in the handler that takes them at once."""
    if not telemetry.recording():
        return nullcontext()
    attributes = _processing(event) | {"messaging.batch.message_count": len(envelopes)}
    links = (envelope.traceparent for envelope in envelopes)
    return telemetry.span(f"process {event.__name__}", None, SpanKind.CONSUMER, attributes, links)


def due(kind: str, traceparent: str | None) -> AbstractContextManager[str]:
    """Due work, or an errand with its call and its outcome."""
    return telemetry.span(f"due {kind}", traceparent)


def all_due(kind: str, traceparents: Sequence[str | None]) -> AbstractContextManager[object]:
    """All due work of a kind in the handler that takes it at once."""
    if not telemetry.recording():
        return nullcontext()
    return telemetry.span(f"due {kind}", None, attributes={"sojourn.batch.size": len(traceparents)}, links=traceparents)


def emitted(event: type[Event], event_id: UUID, traceparent: str | None) -> str | None:
    """The ``traceparent`` that an event carries: that of its emitting where spans are recorded, else that of its cause.

    An event without a trace stays without one.
    """
    if traceparent is None or not telemetry.recording():
        return traceparent
    attributes = _KAFKA | {
        "messaging.operation.name": "emit",
        "messaging.operation.type": "create",
        "messaging.destination.name": event.topic(),
        "messaging.message.id": str(event_id),
    }
    emitting = telemetry.start(f"emit {event.__name__}", traceparent, SpanKind.PRODUCER, attributes)
    emitting.end()
    return telemetry.traceparent_of(emitting.get_span_context())


def given_up(traceparent: str | None) -> AbstractContextManager[object]:
    """What is said of an event or work that is set aside: its line names the trace that led to it, where there is one."""
    return nullcontext() if traceparent is None else telemetry.ids(traceparent)


@asynccontextmanager
async def publishing(events: Iterable[tuple[str, str | None]]) -> AsyncGenerator[None]:
    """Around a Kafka transaction with these events, told by topic and ``traceparent``: a span for each topic.

    A topic has its own, so that no link of one topic's events stands beside another topic.
    """
    opened: list[trace.Span] = []
    if telemetry.recording():
        by_topic: dict[str, list[str | None]] = defaultdict(list)
        for topic, traceparent in events:
            by_topic[topic].append(traceparent)
        for topic, traceparents in by_topic.items():
            attributes = _KAFKA | {
                "messaging.operation.name": "publish",
                "messaging.operation.type": "send",
                "messaging.destination.name": topic,
                "messaging.batch.message_count": len(traceparents),
            }
            opened.append(telemetry.start(f"publish {topic}", None, SpanKind.CLIENT, attributes, traceparents))
    try:
        yield
    except BaseException as error:
        for span in opened:
            telemetry.failed(span, error)
        raise
    finally:
        for span in opened:
            span.end()


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else _OTHER


def _processing(event: type[Event]) -> dict[str, str | int]:
    return _KAFKA | {
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": event.topic(),
    }
