"""
Spans and metrics by the API of OpenTelemetry. It needs the extra `opentelemetry`.

The names are those of its conventions for HTTP clients, and `tahoe.…` for what those do not know:
https://opentelemetry.io/docs/specs/semconv/http/. No span has `url.full`: it would hold a cap.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from time import time, time_ns
from urllib.parse import urlsplit

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter
from opentelemetry.trace import SpanKind, StatusCode, TracerProvider, get_tracer

from txtahoe.http.events import Event
from txtahoe.spool import Spool, Summary

_PORTS = {"http": 80, "https": 443}
# In seconds, as the conventions have them.
_DURATIONS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
# In bytes, from 1 KiB to 1 GiB.
_SIZES = tuple(float(2**n) for n in range(10, 31, 2))

Attributes = dict[str, str | int]


class Telemetry:
    """
    An observer that makes a span for each request, and counts requests and look-ups.

    A request's span is a child of the span that was current when the request began. If there are
    no providers among the arguments, it uses those of the process.

    Metrics: `http.client.request.duration`, `http.client.request.body.size`,
    `http.client.response.body.size`; `tahoe.client.repeats`, the attempts that came after another
    one of the same request; `tahoe.client.lookups`, by the `tahoe.cache` that answered: "memory",
    "shared" or "none".
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._tracer = get_tracer("txtahoe", tracer_provider=tracer_provider)
        meter = get_meter("txtahoe", meter_provider=meter_provider)
        self._duration = meter.create_histogram(
            "http.client.request.duration",
            "s",
            "Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_DURATIONS,
        )
        self._sent, self._received = (
            meter.create_histogram(
                f"http.client.{body}.body.size",
                "By",
                f"Size of HTTP client {body} bodies.",
                explicit_bucket_boundaries_advisory=_SIZES,
            )
            for body in ("request", "response")
        )
        self._repeats = meter.create_counter(
            "tahoe.client.repeats", "{request}", "Requests that were made again."
        )
        self._lookups = meter.create_counter(
            "tahoe.client.lookups", "{lookup}", "Look-ups of names, by the cache that answered."
        )

    def __call__(self, event: Event) -> None:
        """Count an event, and make the span of a request."""
        if event.gateway is None:
            self._lookups.add(1, {"tahoe.cache": event.cache or "none"})
            return
        attributes: Attributes = {
            "http.request.method": event.method or "",
            "tahoe.operation": event.operation,
            **_server(event.gateway),
        }
        if event.repeats:
            self._repeats.add(1, attributes)
        if event.status is not None:
            attributes["http.response.status_code"] = event.status
        if event.error is not None:
            attributes["error.type"] = event.error
        self._duration.record(event.seconds, attributes)
        if event.sent:
            self._sent.record(event.sent, attributes)
        if event.received:
            self._received.record(event.received, attributes)
        self._trace(event, attributes)

    def _trace(self, event: Event, attributes: Attributes) -> None:
        attributes["http.request.body.size"] = event.sent
        attributes["http.response.body.size"] = event.received
        if event.repeats:
            attributes["http.request.resend_count"] = event.repeats
        end = time_ns()
        span = self._tracer.start_span(
            f"{event.method} {event.operation}",
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=end - int(event.seconds * 1e9),
        )
        if event.error is not None:
            span.set_status(StatusCode.ERROR)
        span.end(end)


@lru_cache
def _server(gateway: str) -> Attributes:
    parts = urlsplit(gateway)
    if parts.hostname is None:  # a Unix socket
        return {"server.address": parts.path}
    return {"server.address": parts.hostname, "server.port": parts.port or _PORTS[parts.scheme]}


def watch_spool(spool: Spool, meter_provider: MeterProvider | None = None) -> None:
    """
    Make gauges of a spool, which all processes of its host share.

    Metrics: `tahoe.spool.files` and `tahoe.spool.size`, which are not on the grid yet;
    `tahoe.spool.age`, the seconds since the oldest of them was saved.
    """
    meter = get_meter("txtahoe", meter_provider=meter_provider)

    def gauge(name: str, unit: str, told: str, value: Callable[[Summary], float]) -> None:
        def read(_: CallbackOptions) -> list[Observation]:
            return [Observation(value(spool.summary()))]

        meter.create_observable_gauge(f"tahoe.spool.{name}", [read], unit, told)

    gauge("files", "{file}", "Files that are not on the grid yet.", lambda now: now.files)
    gauge("size", "By", "Their bytes.", lambda now: now.bytes)
    gauge("age", "s", "Time since the oldest was saved.", _age)


def _age(now: Summary) -> float:
    return 0.0 if now.oldest is None else max(0.0, time() - now.oldest)


observe = Telemetry()
"""An observer with the providers of the process."""
