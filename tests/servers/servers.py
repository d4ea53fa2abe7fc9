"""How each server is started, loses a worker, is reloaded, and stops."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import psutil
from attrs import define, field, frozen

from tests.servers.sites import PATIENCE
from tests.waiting import wait_until
from txtahoe.testing.node import free_port

# Seconds that a server gives its workers to end, or to answer it: fewer than a test waits for it.
GRACE = f"{PATIENCE / 3:.0f}"


@frozen
class Kind:
    """
    A kind of server.

    `command`: its arguments, with `{port}` for the port. `stop`: the signal that ends it.
    `survives`: whether it goes on, with another worker, when one is killed. `reload`: how it loads
    the site again, if it can. `reload_loses`: whether it then drops requests: runserver what is
    under way, uvicorn and hypercorn connections that they have accepted and not yet read.
    """

    command: Sequence[str]
    stop: signal.Signals = signal.SIGTERM
    survives: bool = True
    reload: Callable[[Server], None] | None = lambda server: server.send(signal.SIGHUP)
    reload_loses: bool = False


def gunicorn(*options: str) -> Kind:
    # At a reload, gunicorn waits in vain for a worker that was told to end while it started.
    waiting = (f"--timeout={PATIENCE:.0f}", f"--graceful-timeout={GRACE}")
    address = ("--bind=127.0.0.1:{port}", "--workers=2", "--no-control-socket")
    return Kind([*module("gunicorn"), "served.wsgi", *address, *waiting, *options])


def uwsgi(*options: str) -> Kind:
    address = ("--http-socket=127.0.0.1:{port}", "--master", "--processes=2", "--disable-logging")
    command = [program("uwsgi"), "--module=served.wsgi", "--need-app", *address, *options]
    return Kind(command, stop=signal.SIGINT)


def module(name: str) -> list[str]:
    return [sys.executable, "-m", name]


def program(name: str) -> str:
    """The path of a program that was installed with this interpreter."""
    return str(Path(sys.executable).with_name(name))


CELERY = Kind(
    [
        *(program("celery"), "--app=served.tasks", "worker", "--pool=prefork", "--concurrency=2"),
        *("--loglevel=WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"),
    ],
    # Its warm shutdown, at SIGTERM or SIGHUP, can wait for ever for a process of its pool; after
    # SIGHUP it can run a task again that has been done.
    stop=signal.SIGKILL,
    reload=None,
)
DAPHNE = Kind(
    [*module("daphne"), "--bind=127.0.0.1", "--port={port}", "served.asgi:application"],
    survives=False,
    reload=None,
)
HYPERCORN = Kind(
    [
        *(*module("hypercorn"), "--bind=127.0.0.1:{port}", "--workers=2"),
        *(f"--graceful-timeout={GRACE}", "served.asgi:application"),
    ],
    survives=False,
    reload_loses=True,
)
RUNSERVER = Kind(
    [*module("django"), "runserver", "127.0.0.1:{port}"],
    survives=False,
    reload=lambda server: server.touch("views.py"),
    reload_loses=True,
)
UVICORN = Kind(
    [
        *(*module("uvicorn"), "--port={port}", "--workers=2"),
        # It waits as long also for the answer of a worker that was killed after the question.
        *(f"--timeout-worker-healthcheck={GRACE}", "served.asgi:application"),
    ],
    reload_loses=True,
)


@contextmanager
def redis() -> Iterator[str]:
    """Run a Redis server for Celery's messages; give its URL."""
    # Not one of Celery's simpler transports: with those its processes share a lock, which one that
    # is killed may take along.
    port = free_port()
    process = subprocess.Popen(
        ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", ""],
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C ends its clients first
    )
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()


@define
class Server:
    """
    A server of a site, for as long as the `with` block lasts.

    `folder`: where the site is, and what the server prints is kept. `environment`: that of
    `place.new_site`, and what else the site is told.
    """

    kind: Kind
    folder: Path
    environment: dict[str, str]
    port: int = field(factory=free_port)
    _process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [part.format(port=self.port) for part in self.kind.command],
                cwd=self.folder,
                env={**os.environ, **self.environment, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self, worker: int) -> None:
        """Kill a worker; if the server does not survive that, start it again."""
        os.kill(worker, signal.SIGKILL)
        if not self.kind.survives:
            self._process.wait(PATIENCE)
            self.start()
            self.wait_for_port()
        wait_until(lambda: not is_alive(worker))

    def processes(self) -> list[psutil.Process]:
        """All of its processes that live, the oldest one first. Raises: psutil.Error."""
        main = psutil.Process(self._process.pid)
        living = [each for each in main.children(recursive=True) if is_alive(each.pid)]
        return sorted([main, *living], key=lambda each: (each.create_time(), each.pid))

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def stop(self, number: signal.Signals | None = None) -> float:
        """The seconds that it took."""
        began = time.monotonic()
        self.send(number or self.kind.stop)
        self._process.wait(PATIENCE)
        return time.monotonic() - began

    def touch(self, file: str) -> None:
        """Change the time of a file of the site, when Django's reloader has seen the old one."""
        wait_until(
            lambda: f"/served/{file} first seen" in self.output().rpartition("Watching for")[2]
        )
        (self.folder / "served" / file).touch()

    def output(self) -> str:
        return (self.folder / "output").read_text("utf-8", "replace")

    def wait_for_port(self) -> None:
        """Raises: AssertionError if the server ends instead of listening."""
        wait_until(self._listens)

    def _listens(self) -> bool:
        assert self._process.poll() is None, f"it has ended: {self.output()[-4000:]}"
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except ConnectionRefusedError:
            return False
        return True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *raised: object) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()


def is_alive(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
