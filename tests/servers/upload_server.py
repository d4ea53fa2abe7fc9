"""A server process of a site that takes uploads, and a browser that sends them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from http.client import HTTPConnection
from itertools import repeat
from pathlib import Path
from typing import Any, Self

from tests.environment import environment
from tests.tahoestorage.upload_case import CONTENT_TYPE, END, begin
from txtahoe.testing.node import free_port


class Server:
    """
    gunicorn, with one process and some threads, for as long as the `with` block lasts.

    `temporary`: its folder for files of uploads. `options`: more of gunicorn's.
    """

    def __init__(self, gateway: str, cap: str, temporary: Path, *options: str) -> None:
        self._options = options
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.temporary = temporary
        self._environment = environment(
            DJANGO_SETTINGS_MODULE="tests.servers.upload_settings",
            GATEWAY=gateway,
            CAP=cap,
            TEMPORARY=str(temporary),
        )

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "gunicorn", "--threads", "4", "--log-level", "warning"]
        command += ["--bind", f"127.0.0.1:{self.port}", *self._options]
        self.process = subprocess.Popen(
            [*command, "tests.tahoestorage.upload_site"],
            env=self._environment,
        )
        while True:
            try:
                self.worker = upload(self.port, [b"x" * 2_000_000], "first")["process"]
                return self
            except ConnectionRefusedError:
                if self.process.poll() is not None:
                    raise
                time.sleep(0.1)

    def __exit__(self, *raised: object) -> None:
        self.process.terminate()
        self.process.wait()

    def open_files(self) -> set[str]:
        """The files that the worker process has open, with and without a name."""
        targets = set()
        for link in Path(f"/proc/{self.worker}/fd").iterdir():
            try:
                targets.add(os.readlink(link))
            except FileNotFoundError:  # closed meanwhile
                pass
        return {target for target in targets if target.startswith("/")}


class Sending:
    """A form with one file of `size` bytes, of which the test sends the rest."""

    def __init__(self, port: int, size: int, name: str) -> None:
        head = begin(name)
        self._connection = HTTPConnection("127.0.0.1", port)
        self._connection.putrequest("POST", "/")
        self._connection.putheader("Content-Type", CONTENT_TYPE)
        self._connection.putheader("Content-Length", str(len(head) + size + 2 + len(END)))
        self._connection.endheaders(head)

    def send(self, data: bytes) -> None:
        self._connection.send(data)

    def answer(self) -> dict[str, Any]:
        """End the form; return the site's answer."""
        self.send(b"\r\n" + END)
        with self._connection.getresponse() as response:
            body = response.read()
        self._connection.close()
        assert response.status == 200, body
        told: dict[str, Any] = json.loads(body)
        return told

    def break_off(self) -> None:
        """Close the connection, as a closed browser does."""
        self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def upload(port: int, blocks: Iterable[bytes], name: str) -> dict[str, Any]:
    """Upload a file of these blocks; return the site's answer."""
    blocks = list(blocks)
    sending = Sending(port, sum(map(len, blocks)), name)
    for block in blocks:
        sending.send(block)
    return sending.answer()


def upload_together(port: int, names: Sequence[str], block: bytes, blocks: int) -> dict[str, Any]:
    """Upload several files of so many blocks in one form; return the site's answer."""
    heads = [begin(name, field=name) for name in names]
    length = sum(map(len, heads)) + len(names) * (blocks * len(block) + 2) + len(END)

    def body() -> Iterator[bytes]:
        for head in heads:
            yield head
            yield from repeat(block, blocks)
            yield b"\r\n"
        yield END

    connection = HTTPConnection("127.0.0.1", port)
    headers = {"Content-Type": CONTENT_TYPE, "Content-Length": str(length)}
    connection.request("POST", "/", body(), headers)
    with connection.getresponse() as response:
        told: dict[str, Any] = json.load(response)
    connection.close()
    return told
