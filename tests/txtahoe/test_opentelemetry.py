"""The observer for OpenTelemetry, with its SDK, and with its exporter for Prometheus."""

from __future__ import annotations

import subprocess
import sys
from time import time
from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from tests.txtahoe.case import ClockTestCase, start
from txtahoe import Client, Event, Gateways, Transport, Tree
from txtahoe.opentelemetry import Telemetry, watch_spool
from txtahoe.spool import Entry, Spool
from txtahoe.testing.fake import Delay, Status

DATA = b"Bytes" * 100


class TelemetryTestCase(ClockTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.exporter = InMemorySpanExporter()
        self.tracing = TracerProvider()
        self.tracing.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.metrics = MeterProvider([self.reader, PrometheusMetricReader()])
        self.addCleanup(self.metrics.shutdown)
        self.telemetry = Telemetry(self.tracing, self.metrics)
        self.client = Client(self.new_transport("http://one:3456/"))
        self.tree = Tree(self.client, self.root)

    def new_transport(self, url: str) -> Transport:
        return Transport(self.clock, url, agent=self.fake.agent, observer=self.telemetry)

    def spans(self) -> dict[str, ReadableSpan]:
        spans = {span.name: span for span in self.exporter.get_finished_spans()}
        self.exporter.clear()
        return spans

    def points(self, name: str) -> list[Any]:
        """The points of a metric."""
        told = self.reader.get_metrics_data()
        assert told is not None
        return [
            point
            for of_resource in told.resource_metrics
            for of_scope in of_resource.scope_metrics
            for metric in of_scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


class Spans(TelemetryTestCase):
    def test_each_request_of_a_save_is_a_child_of_the_callers_span(self) -> None:
        with self.tracing.get_tracer("site").start_as_current_span("page") as page:
            self.now(self.tree.save("f", DATA))
        spans = self.spans()
        self.assertEqual(set(spans), {"PUT upload", "GET list", "POST link", "page"})
        del spans["page"]
        for span in spans.values():
            self.assertEqual(span.parent, page.get_span_context())
            self.assertEqual(span.kind, SpanKind.CLIENT)
            self.assertEqual(span.status.status_code, StatusCode.UNSET)

    def test_a_span_has_the_attributes_of_the_conventions(self) -> None:
        cap = self.now(self.client.upload(DATA))
        self.assertEqual(
            dict(self.spans()["PUT upload"].attributes or {}),
            {
                "http.request.method": "PUT",
                "http.response.status_code": 200,
                "http.request.body.size": len(DATA),
                "http.response.body.size": len(str(cap)),
                "server.address": "one",
                "server.port": 3456,
                "tahoe.operation": "upload",
            },
        )

    def test_a_span_is_as_long_as_its_request(self) -> None:
        self.fake.fail_next("PUT /uri", Delay(2.5))
        uploading = start(self.client.upload(DATA))
        self.clock.advance(2.5)
        self.successResultOf(uploading)
        span = self.spans()["PUT upload"]
        assert span.start_time is not None and span.end_time is not None
        self.assertEqual(span.end_time - span.start_time, 2_500_000_000)

    def test_a_failure_and_its_repeat_at_the_next_gateway_are_two_spans(self) -> None:
        both = Client(Gateways([self.client._transport, self.new_transport("https://two/")]))
        self.fake.fail_next("PUT /uri", Status(502))
        self.now(both.upload(DATA))
        failed, repeated = self.exporter.get_finished_spans()
        self.assertEqual(failed.status.status_code, StatusCode.ERROR)
        assert failed.attributes and repeated.attributes
        self.assertEqual(failed.attributes["error.type"], "GatewayBusy")
        self.assertEqual(failed.attributes["http.response.status_code"], 502)
        self.assertEqual(repeated.attributes["http.request.resend_count"], 1)
        self.assertEqual(repeated.attributes["server.port"], 443)
        (repeats,) = self.points("tahoe.client.repeats")
        self.assertEqual((repeats.value, repeats.attributes["server.address"]), (1, "two"))


class Metrics(TelemetryTestCase):
    def test_durations_and_bytes_are_measured_by_operation(self) -> None:
        cap = self.now(self.client.upload(DATA))
        for _ in range(3):
            self.now(self.client.read(cap))
        durations = {
            point.attributes["tahoe.operation"]: point.count
            for point in self.points("http.client.request.duration")
        }
        self.assertEqual(durations, {"upload": 1, "download": 3})
        (sent,) = self.points("http.client.request.body.size")
        self.assertEqual(sent.sum, len(DATA))
        received = {
            point.attributes["tahoe.operation"]: point.sum
            for point in self.points("http.client.response.body.size")
        }
        self.assertEqual(received, {"upload": len(str(cap)), "download": 3 * len(DATA)})

    def test_look_ups_are_counted_by_the_cache_that_answered(self) -> None:
        self.now(self.tree.save("f", DATA))
        self.now(self.tree.resolve("f"))
        self.now(self.tree.resolve("f"))
        self.clock.advance(11)
        self.now(self.tree.resolve("f"))
        self.telemetry(Event("lookup", cache="shared"))
        counts = {
            point.attributes["tahoe.cache"]: point.value
            for point in self.points("tahoe.client.lookups")
        }
        self.assertEqual(counts, {"memory": 2, "none": 1, "shared": 1})

    def test_prometheus_shows_them(self) -> None:
        self.fake.fail_next("PUT /uri", Delay(0.3))
        uploading = start(self.client.upload(DATA))
        self.clock.advance(0.3)
        self.successResultOf(uploading)
        self.now(self.tree.resolve(""))
        page = generate_latest(REGISTRY).decode()
        samples = [
            sample
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.labels.get("otel_scope_name") == "txtahoe"
        ]

        def values(name: str, **labels: str) -> list[float]:
            return [
                sample.value
                for sample in samples
                if sample.name == name and labels.items() <= sample.labels.items()
            ]

        duration = "http_client_request_duration_seconds"
        upload = {"tahoe_operation": "upload", "http_response_status_code": "200"}
        self.assertEqual(values(f"{duration}_sum", **upload, server_address="one"), [0.3])
        self.assertEqual(values(f"{duration}_bucket", **upload, le="0.25"), [0])
        self.assertEqual(values(f"{duration}_bucket", **upload, le="0.5"), [1])
        self.assertEqual(values("http_client_request_body_size_bytes_sum", **upload), [len(DATA)])
        self.assertEqual(values("tahoe_client_lookups_total", tahoe_cache="memory"), [1])
        self.assertNotIn("URI", page)


# A program imports the observer, and chooses its providers some time after that.
_PROGRAM = """
from txtahoe import Event
from txtahoe.opentelemetry import observe
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

event = Event("list", "GET", "unix:/run/gateway", status=200, seconds=1.5)
observe(event)  # there are no providers yet
reader, exporter = InMemoryMetricReader(), InMemorySpanExporter()
metrics.set_meter_provider(MeterProvider([reader]))
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
observe(event)
(span,) = exporter.get_finished_spans()
print(span.name, span.attributes["server.address"])
(metric,) = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
print(metric.name, metric.data.data_points[0].sum)
"""


class Spools(TelemetryTestCase):
    def test_a_spool_has_gauges(self) -> None:
        spool = Spool(self.mktemp(), self.root, min_free=0)
        watch_spool(spool, self.metrics)
        self.assertEqual(self.now_in("files", "size", "age"), [0, 0, 0])
        spool.add(spool.write(Entry(("a",), since=time() - 60), [DATA]))
        files, size, age = self.now_in("files", "size", "age")
        self.assertEqual((files, size), (1, len(DATA)))
        self.assertGreaterEqual(age, 60)

    def now_in(self, *names: str) -> list[float]:
        told = {name: self.points(f"tahoe.spool.{name}") for name in names}
        return [point.value for (point,) in told.values()]


class Process(SynchronousTestCase):
    def test_the_observer_of_the_module_uses_the_providers_of_the_process(self) -> None:
        done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True)
        self.assertEqual(
            (done.stdout, done.stderr),
            ("GET list /run/gateway\nhttp.client.request.duration 1.5\n", ""),
        )
