"""
The storage in each server: eight clients upload, read, list and delete, while a worker is killed
and the site is loaded again. TAHOE_SERVER_REQUESTS: how many requests each, 500 if it is not set.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

from tahoestorage.storage import TahoeStorage
from tests.needs import REDIS, TIME, needs
from tests.servers.case import ServerTestCase
from tests.servers.servers import (
    CELERY,
    DAPHNE,
    HYPERCORN,
    RUNSERVER,
    UVICORN,
    Kind,
    Server,
    gunicorn,
    redis,
    uwsgi,
)
from tests.servers.sites import HttpSite, LostError, QueuedSite, Site
from tests.servers.workload import CLIENTS, Workload, asked_name, content_of
from tests.waiting import wait_until

REQUESTS = int(os.environ.get("TAHOE_SERVER_REQUESTS", "500"))


@needs(TIME)
class Servers(ServerTestCase):
    def check(self, kind: Kind, site: Site | None = None, **environment: str) -> None:
        with self.server(kind, **environment) as server:
            if site is None:
                server.wait_for_port()
                site = HttpSite(server.port)
            workload = Workload(site, REQUESTS)
            try:
                self.run_through(workload, server)
                server.stop()
            except BaseException:
                print(server.output()[-6000:])
                raise
        self.assert_all_is_there(workload)
        self.assertFalse(self.proxy.has_shared_connections)
        self.assertGreater(len(self.proxy.processes), 1)

    def run_through(self, workload: Workload, server: Server) -> None:
        workload.start()
        workload.wait_until(1 / 3)
        old = set(workload.processes)
        with workload.interrupted():
            server.kill(workload.processes[-1])
        wait_until(lambda: self.has_new_process(workload, old))
        workload.wait_until(2 / 3)
        if server.kind.reload is not None:
            with workload.interrupted() if server.kind.reload_loses else nullcontext():
                old = set(workload.processes)
                server.kind.reload(server)
                wait_until(lambda: self.has_new_process(workload, old))
        workload.finish()
        if server.kind.reload is None:
            self.uploading(workload)
        else:
            wait_until(lambda: self.uploading(workload) not in old)
        self.assertEqual(workload.mistakes, [])
        self.assertEqual(workload.unexplained, [])

    def has_new_process(self, workload: Workload, old: set[int]) -> bool:
        """
        Whether a process answers that is not an old one.

        A queue that is asked one thing at a time may give them all to one process, so it is asked
        several at once.
        """

        def ask(_: int) -> int:
            return workload.site.names()[0]

        try:
            with ThreadPoolExecutor() as threads:
                answering = set(threads.map(ask, range(CLIENTS)))
        except LostError:
            return False
        return not {*answering, *workload.processes} <= old

    def uploading(self, workload: Workload) -> int:
        """Upload one more file; return the process that took it."""
        name = f"{workload.word}-one-more-{len(workload.there)}"
        process, _ = workload.site.upload(name, content_of(name))
        workload.there.add(name)
        return process

    def assert_all_is_there(self, workload: Workload) -> None:
        storage = TahoeStorage(tahoe_base_url=self.gateway, tahoe_base_cap=self.cap)
        found: dict[str, str] = {}
        for saved in storage.listdir("demo/documents")[1]:
            name = asked_name(saved)
            if name != "before-fork":
                self.assertNotIn(name, found, f"{saved} is there beside {found.get(name)}")
                found[name] = saved
                with storage.open(f"demo/documents/{saved}") as file:
                    self.assertEqual(file.read(), content_of(name), f"{saved} has other bytes")
        self.assertEqual(workload.there - found.keys(), set(), "lost")
        self.assertEqual(found.keys() - workload.there - workload.doubtful, set(), "not deleted")

    def test_gunicorn_sync(self) -> None:
        self.check(gunicorn())

    def test_gunicorn_sync_preloaded(self) -> None:
        self.check(gunicorn("--preload"), SERVED_USE_BEFORE_FORK="yes")

    def test_gunicorn_gthread(self) -> None:
        self.check(gunicorn("--threads=4"))

    def test_gunicorn_gthread_preloaded(self) -> None:
        self.check(gunicorn("--threads=4", "--preload"), SERVED_USE_BEFORE_FORK="yes")

    def test_gunicorn_gevent(self) -> None:
        self.check(gunicorn("--worker-class=gevent"))

    def test_gunicorn_gevent_preloaded(self) -> None:
        options = ("--worker-class=gevent", "--config=served/patched.py", "--preload")
        self.check(gunicorn(*options), SERVED_USE_BEFORE_FORK="yes")

    def test_uwsgi(self) -> None:
        hooks = ("--threads=4", "--py-call-uwsgi-fork-hooks")
        self.check(uwsgi(*hooks), SERVED_USE_BEFORE_FORK="yes")

    def test_uwsgi_lazy(self) -> None:
        self.check(uwsgi("--lazy-apps"))

    @needs(REDIS)
    def test_celery(self) -> None:
        with redis() as queue:
            self.check(CELERY, QueuedSite(queue), SERVED_QUEUE=queue, SERVED_USE_BEFORE_FORK="yes")

    def test_runserver(self) -> None:
        self.check(RUNSERVER)

    def test_daphne(self) -> None:
        self.check(DAPHNE)

    def test_uvicorn(self) -> None:
        self.check(UVICORN)

    def test_hypercorn(self) -> None:
        self.check(HYPERCORN)
