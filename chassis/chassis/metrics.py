"""What Prometheus reads: what was handled, what failed, what waits and since when."""

import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from chassis.failures import is_trouble

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LONG_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 3600)
"""Of what waits on its way; what is promised within 5 seconds or a minute is told by a bucket that ends there."""


class Gauged(NamedTuple):
    """A gauge of a service's own: what it tells, and by what it is told apart."""

    text: str
    labels: tuple[str, ...] = ()


class Observed(NamedTuple):
    """One value of such a gauge."""

    name: str
    value: float
    labels: Mapping[str, str] = MappingProxyType({})


class Metrics:
    """The metrics of one service, in a registry of its own, each labelled with the service's name."""

    def __init__(
        self,
        service: str,
        counters: Mapping[str, str] | None = None,
        durations: Mapping[str, str] | None = None,
        gauges: Mapping[str, Gauged] | None = None,
    ) -> None:
        """``counters``, ``durations`` and ``gauges`` are the service's own, each with what it tells; durations are in seconds."""
        self.registry = CollectorRegistry()
        self._service = service
        ProcessCollector(registry=self.registry)
        self._handled = self._counter("handled", "Events and due work handled and committed", "event")
        self._failed = self._counter("failed", "Attempts that failed, by poison or by trouble", "event", "kind")
        self._duplicates = self._counter("duplicates", "Events that were skipped as handled before", "event")
        self._dead = self._counter("dead_letters", "Events and due work given up", "event")
        self._requests = self._counter("http_requests", "Requests answered", "method", "route", "status")
        self._delivery_seconds = self._histogram(
            "delivery_seconds", "Time from an event's emission until it is handled", "event", buckets=_LONG_SECONDS
        )
        self._handler_seconds = self._histogram("handler_seconds", "Time in a handler", "event")
        self._request_seconds = self._histogram("http_request_seconds", "Time to answer", "method", "route")
        self._dead_open = self._gauge("dead_letters_open", "Dead letters that nobody has settled")
        self._outbox_age = self._gauge(
            "outbox_age_seconds", "Age of the oldest event that is not published, or may not be"
        )
        self._outbox_size = self._gauge("outbox_size", "Events that the relay has not moved to the log")
        self._log_position = self._gauge("log_position", "Position at which the log ends")
        self._published_position = self._gauge(
            "published_position", "Position that is published; NaN where this process does not lead"
        )
        self._lag_records = self._gauge("consumer_lag_records", "Records that wait to be handled")
        self._lag_seconds = self._gauge("consumer_lag_seconds", "Age of the oldest record that waits to be handled")
        self._halted = self._gauge("halted", "1 when a part of the process has stopped and waits for an operator")
        self._due_late = self._gauge("due_late_seconds", "How late the oldest due work is")
        self._due_parked = self._gauge("due_parked", "Due work that was given up and waits for an operator")
        self._oldest_transaction = self._gauge(
            "oldest_transaction_seconds", "Age of the oldest open transaction that writes, of the whole database server"
        )

        self._observed = {name: self._gauge(name, text, *labels) for name, (text, labels) in (gauges or {}).items()}
        self._durations = {
            name: self._histogram(name, text, buckets=_LONG_SECONDS) for name, text in (durations or {}).items()
        }
        self._own = {name: self._counter(name, counts) for name, counts in (counters or {}).items()}

    def count(self, name: str, count: int) -> None:
        """Raises one of the service's own counters."""
        self._own[name].labels(self._service).inc(count)

    def lasted(self, name: str, seconds: float) -> None:
        """Adds to one of the service's own durations."""
        self._durations[name].labels(self._service).observe(seconds)

    def observed(self, found: Iterable[Observed]) -> None:
        """Sets the service's own gauges, and forgets the labels that they do not have any more."""
        for gauge in self._observed.values():
            gauge.clear()
        for name, value, labels in found:
            self._observed[name].labels(service=self._service, **labels).set(value)

    def handled(self, event: str, count: int = 1) -> None:
        self._handled.labels(self._service, event).inc(count)

    def delivered(self, event: str, seconds: Iterable[float]) -> None:
        """Events were handled so long after each was emitted."""
        of_event = self._delivery_seconds.labels(self._service, event)
        for each in seconds:
            of_event.observe(each)

    def failed(self, event: str, kind: str, count: int = 1) -> None:
        """``kind`` is ``poison`` or ``trouble``."""
        self._failed.labels(self._service, event, kind).inc(count)

    def duplicate(self, event: str, count: int = 1) -> None:
        self._duplicates.labels(self._service, event).inc(count)

    def dead_lettered(self, event: str, count: int = 1) -> None:
        self._dead.labels(self._service, event).inc(count)

    @contextmanager
    def handling(self, event: str) -> Generator[None]:
        """Times a handler; counts it as failed by poison when it raises what no waiting cures."""
        began = time.perf_counter()
        try:
            yield
        except Exception as error:
            if not is_trouble(error):
                self.failed(event, "poison")
            raise
        finally:
            self._handler_seconds.labels(self._service, event).observe(time.perf_counter() - began)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(self._service, method, route, str(status)).inc()
        self._request_seconds.labels(self._service, method, route).observe(seconds)

    def dead_letters_open(self, count: int) -> None:
        self._dead_open.labels(self._service).set(count)

    def outbox(self, size: int, age_seconds: float) -> None:
        self._outbox_size.labels(self._service).set(size)
        self._outbox_age.labels(self._service).set(age_seconds)

    def log_position(self, position: int) -> None:
        self._log_position.labels(self._service).set(position)

    def published_position(self, position: float) -> None:
        self._published_position.labels(self._service).set(position)

    def consumer_lag(self, records: float, seconds: float) -> None:
        self._lag_records.labels(self._service).set(records)
        self._lag_seconds.labels(self._service).set(seconds)

    def halted(self, halted: bool) -> None:
        self._halted.labels(self._service).set(halted)

    def due_late(self, seconds: float) -> None:
        self._due_late.labels(self._service).set(seconds)

    def due_parked(self, count: int) -> None:
        self._due_parked.labels(self._service).set(count)

    def oldest_transaction(self, seconds: float) -> None:
        self._oldest_transaction.labels(self._service).set(seconds)

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, ("service", *labels), namespace="sojourn", registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str, buckets: tuple[float, ...] = _SECONDS) -> Histogram:
        return Histogram(name, text, ("service", *labels), namespace="sojourn", registry=self.registry, buckets=buckets)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, ("service", *labels), namespace="sojourn", registry=self.registry)
