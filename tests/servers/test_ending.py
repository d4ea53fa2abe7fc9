"""Processes that end while they save: by a signal to their server, or at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from django.core.files.base import ContentFile

from tests.environment import environment
from tests.grid.proxy import Proxy
from tests.needs import TIME, needs
from tests.servers.upload_server import Sending, Server
from tests.tahoestorage.case import StorageTestCase
from tests.waiting import wait_until

_MEGABYTE = 2**20
_BLOCK = bytes(range(256)) * 2**12
_BLOCKS = 20


@needs(TIME)
class Terminated(StorageTestCase):
    """gunicorn gets SIGTERM when half of an upload is sent."""

    def terminate(self, graceful_seconds: int) -> None:
        self.proxy = Proxy(self.gateway).__enter__()
        self.addCleanup(self.proxy.__exit__)
        temporary = Path(self.mktemp()).absolute()
        temporary.mkdir()
        self.server = Server(
            self.proxy.url, self.cap, temporary, "--graceful-timeout", str(graceful_seconds)
        )
        self.server.__enter__()
        self.addCleanup(self.server.__exit__)
        self.sending = Sending(self.server.port, _BLOCKS * _MEGABYTE, "large")
        for _ in range(_BLOCKS // 2):
            self.sending.send(_BLOCK)
        wait_until(lambda: self.proxy.requests.count("PUT /uri") == 2)
        self.server.process.send_signal(signal.SIGTERM)

    def names(self) -> set[str]:
        return set(self.new_storage().listdir("")[1])

    def test_an_upload_that_goes_on_is_saved(self) -> None:
        self.terminate(60)
        for _ in range(_BLOCKS // 2):
            self.sending.send(_BLOCK)
        self.assertEqual(self.sending.answer()["files"]["file"][1], _BLOCKS * _MEGABYTE)
        self.assertEqual(self.server.process.wait(60), 0)
        with self.new_storage().open("large") as file:
            self.assertTrue(all(chunk == _BLOCK for chunk in file.chunks(_MEGABYTE)))

    def test_an_upload_that_stalls_leaves_nothing_behind(self) -> None:
        self.terminate(2)
        self.assertEqual(self.server.process.wait(60), 0)
        self.assertRaises(OSError, self.sending.answer)
        self.assertEqual(self.names(), {"first"})
        wait_until(lambda: self.proxy.connections == 0)
        self.assertEqual(self.storage.save("large", ContentFile(b"1")), "large")


@needs(TIME)
class Gone(StorageTestCase):
    """A process that ends by `os._exit` while threads of it save."""

    script = """
        import os, sys, threading, time
        from django.conf import settings

        settings.configure()
        from django.core.files.base import ContentFile
        from tahoestorage.storage import TahoeStorage

        gateway, cap, seconds = sys.argv[1:]
        storage = TahoeStorage(tahoe_base_url=gateway, tahoe_base_cap=cap)

        def save(thread):
            for number in range(1000):
                name = f"{thread}/{number}"
                # Of its own: what a process has left half sent, the gateway refuses the next one.
                saved = storage.save(name, ContentFile(f"{name} {seconds}\\n".encode() * 10_000))
                os.write(1, f"{saved}\\n".encode())

        for thread in range(4):
            threading.Thread(target=save, args=(thread,), daemon=True).start()
        time.sleep(float(seconds))
        os._exit(7)
    """

    def test_acknowledged_files_are_there_and_others_are_whole_or_missing(self) -> None:
        for seconds in (0.2, 0.5, 1.0):
            with Proxy(self.gateway) as proxy:
                command = [sys.executable, "-c", textwrap.dedent(self.script)]
                ended = subprocess.run(
                    [*command, proxy.url, self.cap, str(seconds)],
                    env=environment(),
                    capture_output=True,
                    text=True,
                )
                self.assertEqual((ended.returncode, ended.stderr), (7, ""))
                wait_until(lambda: proxy.connections == 0)
            storage = self.new_storage()
            found = {
                f"{directory}/{name}" for directory, _, names in storage.walk() for name in names
            }
            self.assertLessEqual(set(ended.stdout.split()), found)
            for name in found:
                with storage.open(name) as file:
                    plain = name.partition("_")[0]  # of two of one name one has another name
                    lines = file.read().decode().split("\n")
                    self.assertEqual(len(lines), 10_001)
                    self.assertEqual({line.partition(" ")[0] for line in lines[:-1]}, {plain})
            saved = storage.save("0/after", ContentFile(b"1"))
            storage.delete(saved)
