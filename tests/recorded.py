"""What a test asks of the spans that were recorded in its own process."""

from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Recorded:
    """Ended spans, in the order in which they ended."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span


def traceparent(span: ReadableSpan) -> str:
    """What a child of this span is given."""
    context = ids(span)
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}"


def parent(span: ReadableSpan) -> str | None:
    """The ``traceparent`` that it descends from."""
    above = span.parent
    return f"00-{above.trace_id:032x}-{above.span_id:016x}-{above.trace_flags & 1:02x}" if above else None


def links(span: ReadableSpan) -> list[str]:
    """The traceparents that it is linked to."""
    return [f"00-{link.context.trace_id:032x}-{link.context.span_id:016x}-01" for link in span.links]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def ids(span: ReadableSpan) -> Any:
    context = span.get_span_context()
    assert context is not None
    return context
