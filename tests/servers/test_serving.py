"""Files that the site serves, by servers of every kind, each a real process."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from tempfile import TemporaryFile

from django.core.files import File

from tests.bench.memory import MemoryGrowth
from tests.environment import environment
from tests.grid.proxy import Proxy
from tests.needs import TIME, needs
from tests.tahoestorage.case import StorageTestCase
from tests.waiting import wait_until
from txtahoe.testing.node import free_port

_MEGABYTE = 2**20
_SITE = "tests.servers.serving_site"
# Command lines of servers with one process.
SERVERS = {
    "gunicorn": f"gunicorn --threads 4 --bind 127.0.0.1:{{port}} {_SITE}:wsgi",
    "uwsgi": f"uwsgi --http-socket 127.0.0.1:{{port}} --module {_SITE}:wsgi --enable-threads "
    "--die-on-term --disable-logging --need-app",
    "uvicorn": f"uvicorn --log-level error --port {{port}} {_SITE}:asgi",
    "hypercorn": f"hypercorn --log-level error --bind 127.0.0.1:{{port}} {_SITE}:asgi",
}


@contextmanager
def serving(server: str, gateway: str, cap: str) -> Iterator[int]:
    """The port of a running server."""
    port = free_port()
    program, *arguments = SERVERS[server].format(port=port).split()
    folder = os.path.dirname(sys.executable)
    settings = "tests.servers.serving_settings"
    process = subprocess.Popen(
        [os.path.join(folder, program), *arguments],
        env=environment(DJANGO_SETTINGS_MODULE=settings, GATEWAY=gateway, CAP=cap),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while not _answers(port):
            if process.poll() is not None:
                raise AssertionError(f"{server} did not start")
            time.sleep(0.1)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(port: int) -> bool:
    try:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/process")
        return connection.getresponse().status == 200
    except ConnectionError:
        return False


class Servers(StorageTestCase):
    def get(self, port: int, name: str, **headers: str) -> HTTPResponse:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        self.addCleanup(connection.close)
        connection.request("GET", f"/{name}", headers=headers)
        return connection.getresponse()

    def save_large(self, megabytes: int) -> str:
        """Save a file; return the digest of its bytes."""
        digest = hashlib.sha256()
        with TemporaryFile() as file:
            for _ in range(megabytes):
                block = os.urandom(_MEGABYTE)
                file.write(block)
                digest.update(block)
            self.storage.save("large.bin", File(file))
        return digest.hexdigest()

    @needs(TIME)
    def test_a_download_of_300_mb_needs_little_memory(self) -> None:
        digest = self.save_large(300)
        for server in ("gunicorn", "uvicorn"):
            with serving(server, self.gateway, self.cap) as port:
                process = int(self.get(port, "process").read())
                self.get(port, "media/large.bin", Range=f"bytes=0-{3 * _MEGABYTE}").read()
                with MemoryGrowth(process) as growth:
                    got = hashlib.sha256()
                    answer = self.get(port, "media/large.bin")
                    while block := answer.read(_MEGABYTE):
                        got.update(block)
                self.assertEqual(got.hexdigest(), digest, server)
                assert growth.size is not None
                self.assertLess(growth.size, 32 * _MEGABYTE, server)

    @needs(TIME)
    def test_a_slow_client_needs_little_memory_and_a_client_that_leaves_ends_the_read(self) -> None:
        self.save_large(100)
        for server in ("gunicorn", "uwsgi", "uvicorn", "hypercorn"):
            with Proxy(self.gateway) as proxy, serving(server, proxy.url, self.cap) as port:
                answer = self.get(port, "media/large.bin")
                answer.read(_MEGABYTE)
                # The buffers of the system are full before the file is read.
                wait_until(lambda proxy=proxy: self.stands_still(proxy))
                self.assertLess(proxy.received, 60 * _MEGABYTE, server)
                answer.close()
                self.doCleanups()
                wait_until(lambda proxy=proxy: not proxy.connections)
                self.assertLess(proxy.received, 70 * _MEGABYTE, server)

    def stands_still(self, proxy: Proxy) -> bool:
        before = proxy.received
        time.sleep(0.5)
        return proxy.received == before

    @needs(TIME)
    def test_a_file_that_fails_in_the_middle_ends_the_connection(self) -> None:
        self.save_large(30)
        for server in SERVERS:
            with Proxy(self.gateway) as proxy, serving(server, proxy.url, self.cap) as port:
                answer = self.get(port, "media/large.bin")
                self.assertEqual(answer.status, 200, server)
                answer.read(_MEGABYTE)
                proxy.refuse()
                proxy.close_connections()
                with self.assertRaises((HTTPException, ConnectionError), msg=server):
                    answer.read()
