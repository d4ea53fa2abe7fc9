"""The option `observer`: events of a storage, in the context of the caller."""

from __future__ import annotations

from contextvars import ContextVar, copy_context
from typing import Any

from asgiref.sync import async_to_sync
from attrs import define
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.utils.functional import lazystr
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tahoestorage.reactor.waiting import in_any_thread
from tahoestorage.staticfiles import TahoeStaticFilesStorage
from tests.grid.case import make_directory
from tests.tahoestorage.case import StorageTestCase
from txtahoe import Event
from txtahoe.opentelemetry import Telemetry

page: ContextVar[str] = ContextVar("page", default="none")
told: list[tuple[str, Event]] = []
exporter = InMemorySpanExporter()
tracing = TracerProvider()
tracing.add_span_processor(SimpleSpanProcessor(exporter))
telemetry = Telemetry(tracing)
SHARED = {"shared": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}


def observe(event: Event) -> None:
    told.append((page.get(), event))


@define
class Counter:
    """An object that can be called, and has no hash."""

    count: int = 0

    def __call__(self, event: Event) -> None:
        self.count += 1


counter = Counter()


async def waits(event: Event) -> None:
    pass


def raises(event: Event) -> None:
    raise ValueError("no")


class Observed(StorageTestCase):
    def setUp(self) -> None:
        super().setUp()
        told.clear()

    def new_storage(self, **options: Any) -> Any:
        return super().new_storage(**{"observer": f"{__name__}.observe", **options})

    def operations(self) -> list[str]:
        found = [event.operation for _, event in told if event.gateway]
        told.clear()
        return found

    def lookups(self) -> list[str | None]:
        found = [event.cache for _, event in told if event.operation == "lookup"]
        told.clear()
        return found

    def test_each_request_of_a_storage_is_told(self) -> None:
        self.storage.save("f", ContentFile(b"Bytes" * 100))
        self.assertEqual(sorted(self.operations()), ["link", "list", "upload"])
        self.assertEqual(self.read("f"), b"Bytes" * 100)
        self.assertEqual(self.operations(), ["download"])

    def test_requests_are_told_in_the_context_of_the_thread_that_waits(self) -> None:
        def in_page() -> None:
            page.set("photos")
            self.storage.save("f", ContentFile(b"Bytes" * 100))
            in_any_thread(lambda: self.storage.listdir(""), 60)

        copy_context().run(in_page)
        self.assertEqual({name for name, _ in told}, {"photos"})
        self.assertIn("upload", self.operations())

    def test_requests_are_told_in_the_context_of_the_task_that_waits(self) -> None:
        async def in_page() -> None:
            page.set("photos")
            await self.storage.asave("f", ContentFile(b"Bytes" * 100))
            await self.storage.aexists("f")

        copy_context().run(async_to_sync(in_page))
        self.assertEqual({name for name, _ in told}, {"photos"})
        self.assertIn("memory", self.lookups())

    def test_a_look_up_is_told_once_with_the_cache_that_answered(self) -> None:
        self.override(CACHES={**SHARED, "default": SHARED["shared"]})
        storage = self.new_storage(cache="shared")
        storage.save("f", ContentFile(b"Bytes" * 100))
        told.clear()
        self.assertTrue(storage.exists("f"))
        self.assertEqual(self.lookups(), ["memory"])
        other = self.new_storage(cache="shared", max_age=0)
        self.assertTrue(other.exists("f"))
        self.assertEqual(self.lookups(), ["shared"])
        self.assertFalse(other.exists("g"))
        self.assertEqual(self.lookups(), [None])

    def test_storages_of_one_root_share_the_observer_of_the_first(self) -> None:
        self.storage.save("f", ContentFile(b"Bytes" * 100))
        told.clear()
        for observer in (None, f"{__name__}.raises"):
            with self.assertNoLogs("txtahoe", "ERROR"):
                self.assertTrue(self.new_storage(observer=observer).exists("f"))
            self.assertEqual(self.lookups(), ["memory"])

    def test_a_look_up_by_the_storage_of_static_files_is_told_too(self) -> None:
        options: dict[str, Any] = {"tahoe_base_url": self.gateway, "tahoe_base_cap": self.cap}
        static = TahoeStaticFilesStorage(**options, observer=f"{__name__}.observe")
        self.storage.save("f.css", ContentFile(b"a{}"))
        told.clear()
        self.assertTrue(static.exists("f.css"))
        self.assertEqual(self.lookups(), ["memory"])

    def test_an_observer_that_raises_hurts_nothing(self) -> None:
        storage = self.new_storage(
            observer=f"{__name__}.raises", tahoe_base_cap=make_directory(self.gateway)
        )
        with self.assertLogs("txtahoe", "ERROR"):
            self.assertEqual(storage.save("f", ContentFile(b"Bytes" * 100)), "f")

    def test_an_observer_needs_no_hash(self) -> None:
        storage = self.new_storage(
            observer=f"{__name__}.counter", tahoe_base_cap=make_directory(self.gateway)
        )
        storage.save("f", ContentFile(b"Bytes" * 100))
        self.assertEqual(counter.count, 3)

    def test_the_path_may_be_lazy_and_have_blanks_around_it(self) -> None:
        self.new_storage(observer=lazystr(f" {__name__}.observe\n")).exists("f")
        self.assertNotEqual(told, [])

    def test_a_path_that_leads_to_no_function_is_refused(self) -> None:
        for wrong, reason in (
            ("tests.nothing.observe", "cannot be imported: No module named 'tests.nothing'"),
            (f"{__name__}.told", "cannot be called"),
            (f"{__name__}.waits", "is a coroutine function"),
            (".observe", "must be the dotted path of a function, not '.observe'"),
            ("..observe", "must be the dotted path of a function, not '..observe'"),
            (7, r"must be the dotted path of a function, not 7 \(int\)"),
        ):
            with self.assertRaisesRegex(ImproperlyConfigured, reason):
                self.new_storage(observer=wrong).exists("f")


class Traced(StorageTestCase):
    def test_requests_in_the_reactor_thread_are_children_of_the_callers_span(self) -> None:
        storage = self.new_storage(observer=f"{__name__}.telemetry")
        with tracing.get_tracer("site").start_as_current_span("view") as view:
            storage.save("f", ContentFile(b"Bytes" * 100))
        with storage.open("f") as file, tracing.get_tracer("site").start_as_current_span("read"):
            file.read()
        spans = {span.name: span for span in exporter.get_finished_spans()}
        for name in ("PUT upload", "POST link"):
            self.assertEqual(spans[name].parent, view.get_span_context())
        self.assertEqual(spans["GET download"].parent, spans["read"].context)
