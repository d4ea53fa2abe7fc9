"""A grid, and two hosts: gunicorn and Celery on one, uvicorn on the other, cron on both."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any, Self

from attrs import define, field, frozen

from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.storage import TahoeStorage
from tests.environment import python_path
from tests.faults.case import mend
from tests.grid.case import make_directory
from tests.grid.proxy import Proxy
from tests.servers.servers import CELERY, UVICORN, Kind, Server, gunicorn, redis
from tests.servers.sites import QueuedSite
from tests.soak.disks import CAN_MOUNT, SmallDisk
from tests.soak.load import Door, QueueDoor, Turns, WebDoor
from txtahoe.testing.grid import Grid

MAX_AGE = 3.0
CACHE_BYTES = 20 * 10**6
# The options of the site.
OPTIONS: dict[str, Any] = {
    "content_cache": {"path": "{host}/contents", "max_bytes": CACHE_BYTES},
    "fanout": 64,
    "max_age": MAX_AGE,
    "spool": "{host}/spool",
    "spool_min_free": 0,
    "timeout": 15,
}
# Seconds. A task needs some requests, each of which can take the timeout.
_QUEUE_PATIENCE = 45.0
REPAIR = ["check", "--repair"]
UPLOAD = ["upload", "--wait"]
CRON = (["renew"], ["snapshot"], REPAIR, ["anchor"])
_MOST_SNAPSHOTS = 3
_CRON_PACE = 40  # operations
_REPAIRS = 5


@frozen
class Host:
    """A host. `servers`: the servers of the site on it, by their names."""

    folder: Path
    environment: dict[str, str]
    servers: dict[str, Server]

    def set_clock(self, ahead: float) -> None:
        """Set the seconds by which it is ahead."""
        os.utime(self.folder / "clock", (0, ahead))


@define
class Cron:
    """
    Runs verbs of `manage.py tahoe`, on one host after the other.

    `tally`: runs by verb and exit status.
    """

    hosts: Sequence[Host]
    wrong: list[str]
    tally: Counter[tuple[str, str]] = field(factory=Counter)

    def work(self, turns: Turns) -> None:
        """Run one verb after the other, until there are no more operations."""
        hosts = cycle(self.hosts)
        for verb in cycle(CRON):
            if not turns.more(_CRON_PACE):
                return
            self.run(next(hosts), verb)
            if verb == ["snapshot"]:
                self._remove_snapshots()

    def run(self, host: Host, verb: Sequence[str]) -> int:
        """The exit status; a traceback is wrong."""
        return self._end(self._begin(host, verb), verb)

    @contextmanager
    def killed(self, verb: Sequence[str]) -> Iterator[None]:
        """Run a verb, and kill it when the block ends."""
        process = self._begin(self.hosts[1], verb)
        yield
        process.kill()
        self._end(process, verb)

    def repair(self) -> None:
        """Repair everything. It may take several times, because the site goes on meanwhile."""
        for _ in range(_REPAIRS):
            if self.run(self.hosts[0], REPAIR) == 0:
                return
        self.wrong.append(f"after {_REPAIRS} repairs the tree is not healthy")

    def finish(self) -> None:
        """Bring all files to the grid; every verb must succeed in the end."""
        for host in self.hosts:
            if (status := self.run(host, UPLOAD)) != 0:
                self.wrong.append(f"at the end: files are left in the spool: {status}")
        self.repair()
        for verb in CRON:
            if verb != REPAIR and (status := self.run(self.hosts[1], verb)) != 0:
                self.wrong.append(f"at the end: tahoe {' '.join(verb)} ends with {status}")

    def _begin(self, host: Host, verb: Sequence[str]) -> subprocess.Popen[str]:
        quiet = ("-v", "0")
        return subprocess.Popen(
            [sys.executable, "-m", "django", "tahoe", *verb, *quiet],
            cwd=host.folder,
            env={**os.environ, **host.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def _end(self, process: subprocess.Popen[str], verb: Sequence[str]) -> int:
        _, said = process.communicate()
        self.tally[" ".join(verb[:2]), str(process.returncode)] += 1
        if "Traceback" in said:
            self.wrong.append(f"tahoe {' '.join(verb)}: {said[-3000:]}")
        return process.returncode

    def _remove_snapshots(self) -> None:
        listing = self._begin(self.hosts[0], ["snapshot", "--list", "--json"])
        told, _ = listing.communicate()
        if listing.returncode == 0:
            for each in json.loads(told)[:-_MOST_SNAPSHOTS]:
                self.run(self.hosts[0], ["snapshot", "--remove", each["name"]])


class Place:
    """The grid and the hosts, for as long as the `with` block lasts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wrong: list[str] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *raised: object) -> None:
        # Celery's results tell the queue when they are collected; it must be there still.
        gc.collect()
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        numbers = {"servers": 3, "gateways": 2, "needed": 2, "total": 3, "happy": 2}
        self.grid = Grid(self.folder / "grid", **numbers).start()
        self.disks = self._mount(stack) if CAN_MOUNT else {}
        stack.callback(self.grid.stop)
        gateways = self.grid.gateways
        # The other host reaches the writer over a network that fails.
        self.proxy = stack.enter_context(Proxy(gateways[0].url))
        self.cap = make_directory(gateways[0].url)
        cap_file = self.folder / "tahoe.cap"
        cap_file.touch(0o600)
        cap_file.write_text(self.cap)
        shutil.copytree(Path(__file__).parent / "served", self.folder / "served")
        queue = stack.enter_context(redis())
        self.hosts = [
            self._host("a", gateways[0].url, gateways[0].url, queue),
            self._host("b", gateways[1].url, self.proxy.url, queue),
        ]
        migrate = [sys.executable, "-m", "django", "migrate", "--run-syncdb", "-v", "0"]
        environment = {**os.environ, **self.hosts[0].environment}
        subprocess.run(migrate, env=environment, check=True)
        self.servers = {name: s for host in self.hosts for name, s in host.servers.items()}
        for server in self.servers.values():
            stack.enter_context(server)
        for name in ("gunicorn", "uvicorn"):
            self.servers[name].wait_for_port()
        self.cron = Cron(self.hosts, self.wrong)
        web = WebDoor(self.servers["gunicorn"].port, "do")
        # Of each host: another one sees a file when it is on the grid.
        self.doors: list[list[Door]] = [
            [web, web, QueueDoor(QueuedSite(queue, _QUEUE_PATIENCE))],
            [WebDoor(self.servers["uvicorn"].port, "ado")],
        ]

    def _mount(self, stack: ExitStack) -> dict[str, SmallDisk]:
        server = self.grid.servers[-1]
        server.stop()
        folders = {
            "storage server": server.folder / "storage",
            "gateway": self.grid.gateways[0].folder / "tmp",
            "content cache": self.folder / "a" / "contents",
            "spool": self.folder / "a" / "spool",
        }
        disks = {what: stack.enter_context(SmallDisk(folder)) for what, folder in folders.items()}
        server.start()
        self.grid.wait_ready()
        return disks

    def _host(self, name: str, gateway: str, writer: str, queue: str) -> Host:
        folder = self.folder / name
        (folder / "temporary").mkdir(parents=True)
        (folder / "clock").touch()
        described = {
            "clock": str(folder / "clock"),
            "gateway": gateway,
            "writer": writer,
            "cap_file": str(self.folder / "tahoe.cap"),
            "database": str(self.folder / "database.sqlite3"),
            "options": json.loads(json.dumps(OPTIONS).replace("{host}", str(folder))),
        }
        environment = {
            "DJANGO_SETTINGS_MODULE": "served.settings",
            "PYTHONPATH": python_path(self.folder),
            "SERVED_QUEUE": queue,
            "SOAK_HOST": json.dumps(described),
            "TMPDIR": str(folder / "temporary"),
        }
        kinds = {
            "a": {"gunicorn": gunicorn("--threads=4"), "celery": CELERY},
            "b": {"uvicorn": UVICORN},
        }[name]
        servers = {kind: _server(folder / kind, how, environment) for kind, how in kinds.items()}
        host = Host(folder, environment, servers)
        host.set_clock(0)
        return host

    def mend(self) -> None:
        """Start and thaw all nodes, and wait until they know each other."""
        mend(self.grid)

    def restart_nodes(self) -> None:
        """
        Mend all nodes, with new gateways and storage servers.

        A gateway that has read a directory while the other one wrote it may answer nothing about it
        until it is started again: gateway.md, 2.14. A storage server refuses what a gateway was
        sending when that was killed, for half an hour or until the server is started again: 2.10.
        """
        for gateway in self.grid.gateways:
            gateway.kill()
        for server in self.grid.servers:
            server.stop()
        self.mend()

    def storages(self) -> tuple[TahoeStorage, TahoeCapStorage]:
        """Storages that know nothing yet, as in a new process."""
        options: Any = {"tahoe_base_url": self.grid.gateway_urls[1], "tahoe_base_cap": self.cap}
        return TahoeStorage(**options), TahoeCapStorage(**options)


def _server(folder: Path, kind: Kind, environment: dict[str, str]) -> Server:
    folder.mkdir()
    return Server(kind, folder, environment)
