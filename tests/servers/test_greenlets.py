"""Processes whose threads gevent or eventlet have replaced."""

from __future__ import annotations

from tests.needs import TIME, needs
from tests.servers.case import ServerTestCase
from tests.servers.test_processes import BEGIN

GEVENT = """
import gevent.monkey
gevent.monkey.patch_all({})
"""
EVENTLET = """
import warnings
warnings.simplefilter("ignore")
import eventlet
eventlet.monkey_patch()
"""
# The fault under test is a call that never returns.
CHECK = """
import signal
signal.alarm(60)
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
print([(found.id, found.hint) for found in run_checks(tags=["files"])])
try:
    ts.exists("f")
except ImproperlyConfigured as error:
    print(error)
"""


@needs(TIME)
class GeventTests(ServerTestCase):
    def test_gevent_works_if_it_patches_first(self) -> None:
        """Many at once, in parent and children, also with more files than select() can have."""
        output = self.run_script(
            GEVENT.format(""),
            BEGIN,
            """
            import resource
            from django.core.checks import run_checks
            _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 2000), most))
            files = [open(os.devnull) for _ in range(min(most - 200, 1100))]
            def save_at_once():
                threads = [threading.Thread(target=save) for _ in range(4)]
                for thread in threads: thread.start()
                for thread in threads: thread.join()
            save_at_once()
            in_children(2, os.fork, save_at_once)
            assert len(ts.listdir("")[1]) == 12 + 6 + 24
            print([found.id for found in run_checks(tags=["files"])])
            """,
        )
        self.assertNotIn("E009", output)
        self.assertEqual(len(self.proxy.processes), 3)
        self.assertFalse(self.proxy.has_shared_connections)

    def test_gevent_is_refused_if_it_patches_late(self) -> None:
        output = self.run_script(BEGIN, GEVENT.format(""), CHECK)
        self.assertIn("('tahoestorage.E009', 'Call gevent.monkey.patch_all() before", output)
        self.assertIn("would never return. Call gevent.monkey.patch_all() before", output)

    def test_gevent_is_refused_if_it_patches_only_some_modules(self) -> None:
        output = self.run_script(GEVENT.format("select=False"), BEGIN, CHECK)
        self.assertIn("tahoestorage.E009", output)
        self.assertIn("Call gevent.monkey.patch_all() without arguments.", output)


@needs(TIME)
class EventletTests(ServerTestCase):
    def test_eventlet_is_refused(self) -> None:
        output = self.run_script(BEGIN, EVENTLET, CHECK)
        self.assertIn("tahoestorage.E009", output)
        self.assertIn("eventlet has replaced the threads of this process", output)

    def test_eventlet_is_refused_at_import_if_it_patches_first(self) -> None:
        output = self.run_script(
            EVENTLET,
            """
            from django.core.exceptions import ImproperlyConfigured
            try:
                import tahoestorage.storage
            except ImproperlyConfigured as error:
                print(error)
            """,
        )
        self.assertIn("eventlet has replaced the threads of this process", output)
