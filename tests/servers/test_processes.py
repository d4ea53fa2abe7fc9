"""Forks of every kind, and processes that end while requests are under way."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading

from tests.grid.strangers import silent, stranger
from tests.needs import TIME, needs
from tests.servers.case import ServerTestCase
from tests.servers.place import new_site
from tests.servers.servers import Kind, gunicorn, uwsgi
from tests.servers.sites import PATIENCE, HttpSite, LostError, WrongAnswerError

BEGIN = """
import ctypes, os, sys, threading, time
import django
django.setup()
from django.core.files.base import ContentFile
from tahoestorage.reactor import loop
from tahoestorage.demo.models import ts

def save(times=3):
    for _ in range(times):
        name = ts.save(f"f--process-{os.getpid()}.bin", ContentFile(os.urandom(1000)))
        with ts.open(name) as file:
            assert len(file.read()) == 1000

def in_children(count, fork, work):
    save()
    children = []
    for number in range(count):
        child = fork()
        if child == 0:
            status = 1
            try:
                work()
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    save()
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
"""


@needs(TIME)
class ForkTests(ServerTestCase):
    def assert_own_connections(self, processes: int) -> None:
        self.assertEqual(len(self.proxy.processes), processes)
        self.assertFalse(self.proxy.has_shared_connections)

    def test_parent_and_children_use_connections_of_their_own(self) -> None:
        self.run_script(BEGIN, "in_children(3, os.fork, save)")
        self.assert_own_connections(4)

    def test_a_fork_without_pythons_hooks_is_noticed(self) -> None:
        """As uWSGI's master makes them; another thread may have the lock at this moment."""
        self.run_script(
            BEGIN,
            """
            def states():
                for task in os.listdir("/proc/self/task"):
                    if int(task) != threading.get_native_id():
                        with open(f"/proc/self/task/{task}/stat") as status:
                            yield status.read().rpartition(")")[2].split()[0]

            def fork():
                # A thread that waits for Python's own lock would be in the way of the child.
                idle = 0
                while idle < 10:
                    time.sleep(0.02)
                    idle = idle + 1 if set(states()) == {"S"} else 0
                with loop._this_process().lock:
                    return ctypes.PyDLL(None).fork()

            in_children(3, fork, save)
            """,
        )
        self.assert_own_connections(4)

    def test_a_child_waits_for_a_reactor_that_starts_slowly(self) -> None:
        """The child's first threads get the identifiers that those of the parent had."""
        self.run_script(
            BEGIN,
            """
            from twisted.internet.base import ReactorBase
            start = ReactorBase.startRunning
            def start_late(*args, **kwargs):
                time.sleep(0.2)
                start(*args, **kwargs)
            ReactorBase.startRunning = start_late
            in_children(2, os.fork, save)
            """,
        )
        self.assert_own_connections(3)


@needs(TIME)
class EndTests(ServerTestCase):
    def test_a_command_ends_with_its_work(self) -> None:
        site = new_site(self.folder, self.gateway, self.cap)
        code = "from tahoestorage.demo.models import ts; print(ts.exists('f'))"
        output = subprocess.check_output(
            [sys.executable, "-m", "django", "shell", "--command", code],
            env={**os.environ, **site},
            timeout=PATIENCE,
        )
        self.assertEqual(output.split()[-1], b"False")

    def test_gunicorn_ends_while_a_request_is_under_way(self) -> None:
        self.check_end(gunicorn(), signal.SIGQUIT)

    def test_uwsgi_ends_while_a_request_is_under_way(self) -> None:
        self.check_end(uwsgi(), signal.SIGQUIT)

    def check_end(self, kind: Kind, number: signal.Signals) -> None:
        asked = threading.Event()

        def behave(connection: socket.socket) -> None:
            asked.set()
            silent(connection)

        with stranger(behave) as gateway, self.server(kind, gateway) as server:
            server.wait_for_port()
            client = threading.Thread(target=self.ask, args=(HttpSite(server.port),))
            client.start()
            self.assertTrue(asked.wait(PATIENCE), server.output())
            # The request has 60 seconds, and gunicorn would wait 30 for its worker.
            self.assertLess(server.stop(number), 20)
            client.join(PATIENCE)

    def ask(self, site: HttpSite) -> None:
        try:
            site.names()
        except (LostError, WrongAnswerError):
            pass


@needs(TIME)
class UwsgiTests(ServerTestCase):
    def test_uwsgi_is_told_of_fork_hooks_if_a_storage_was_used_before_the_fork(self) -> None:
        with self.server(uwsgi(), SERVED_USE_BEFORE_FORK="yes") as server:
            server.wait_for_port()
            _, names = HttpSite(server.port).names()
        self.assertEqual(len(names), 1)
        self.assertEqual(server.output().count("Set py-call-uwsgi-fork-hooks"), 1)
