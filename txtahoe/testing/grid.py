"""
A real Tahoe-LAFS grid on loopback: an introducer, storage servers and gateways, as processes.

    with Grid() as grid:
        print(grid.gateway_urls[0])

It needs tahoe-lafs (`pip install 'django-tahoestorage[grid]'`, or a `tahoe` that the environment's
TAHOE_COMMAND names), no privileges, and about five seconds to start.
`python -m txtahoe.testing.grid --help` is the same as a command.
"""

from __future__ import annotations

import argparse
import atexit
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn, Self

from txtahoe.testing.folder import GridFolder, Plan
from txtahoe.testing.node import (
    Gateway,
    GridError,
    Introducer,
    Node,
    NodeError,
    PortTakenError,
    Server,
    Settings,
    is_free,
    tahoe_command,
)

__all__ = ["Gateway", "Grid", "GridError", "Node", "NodeError", "PortTakenError", "Server"]

Progress = Callable[[str, int, int], object]
"""Called with the step that begins or is done, the number of steps done, and of all steps."""


class Grid:
    """
    One introducer, `servers` storage servers and `gateways` gateways on 127.0.0.1.

    `folder` is where they are kept: a second grid in the same folder has the same nodes with the
    same keys, data and gateway ports. Without it the grid lives in a temporary folder, which
    `stop` removes. Numbers that are not given are those of the kept folder; in a new one 3
    servers, 1 gateway, a share for each server (`total`), half of them `needed` and `happy`.
    `server_settings` and `gateway_settings` go into the tahoe.cfg of every node of the kind, and
    win over the grid's own. `progress` is called from the thread that starts the grid.

    A grid is started once and stopped once. However its process ends, the nodes end with it; only
    a temporary folder is left behind when it is killed. A forked child may use the gateways, and
    neither stops nor controls the nodes.

    Raises: ValueError for impossible numbers, GridError for a folder of something else.
    """

    server_type: type[Server] = Server
    """The class of the storage servers; a subclass may have another."""

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        servers: int | None = None,
        gateways: int | None = None,
        needed: int | None = None,
        total: int | None = None,
        happy: int | None = None,
        server_settings: Settings | None = None,
        gateway_settings: Settings | None = None,
        progress: Progress | None = None,
    ) -> None:
        asked = {
            "servers": servers,
            "gateways": gateways,
            "needed": needed,
            "total": total,
            "happy": happy,
        }
        self._folder = GridFolder(None if folder is None else Path(folder).absolute())
        self._plan: Plan = self._folder.plan({k: v for k, v in asked.items() if v is not None})
        self.introducer: Introducer
        self.servers: list[Server] = []
        self.gateways: list[Gateway] = []
        self.nodes: list[Node] = []
        """All nodes, in the order in which they start; empty before the start."""
        self._server_settings = server_settings or {}
        self._gateway_settings = gateway_settings or {}
        self._progress = progress or (lambda what, done, steps: None)
        self._done = 0
        self._changing = threading.RLock()
        self._ending = threading.Event()

    @property
    def folder(self) -> Path:
        """Where the nodes' folders are, each under the name of its node."""
        return self._folder.path

    @property
    def gateway_urls(self) -> list[str]:
        """The roots of the gateways' web APIs, each with the slash at its end."""
        return [gateway.url for gateway in self.gateways]

    def node(self, name: str) -> Node:
        """
        The node of this name: "introducer", "server-1", "gateway-1" and so on.

        Raises: LookupError with the names that there are.
        """
        nodes = {node.name: node for node in self.nodes}
        if name not in nodes:
            raise LookupError(f"no node is called {name!r}; there are: {', '.join(nodes)}")
        return nodes[name]

    def share_files(self, storage_index: str) -> list[Path]:
        """
        The files of all shares of a storage index (base 32, as in verify caps) on all servers.

        Tahoe's docs/architecture.rst and allmydata/storage/common.py say where they lie.
        """
        shares = f"storage/shares/{storage_index[:2]}/{storage_index}/*"
        return sorted(path for server in self.servers for path in server.folder.glob(shares))

    # Start and stop

    def start(self, timeout: float = 120) -> Self:
        """
        Start all nodes and return when the gateways are connected to all servers.

        `timeout` in seconds.

        Raises: NodeError with the end of the log of a node that fails; GridError if tahoe-lafs is
        missing, if the folder is in use, or if the grid was stopped already. No node runs then.
        """
        deadline = time.monotonic() + timeout
        with self._changing:
            if self.nodes:
                raise GridError("this grid was started before: make a new one")
            atexit.register(self.stop)
            try:
                self._make_nodes()
                self._start([self.introducer], deadline)
                clients = self.nodes[1:]
                for node in clients:
                    node.introduce(self.introducer.furl)
                self._start(clients, deadline)
                self._step("connecting the gateways to the servers", 0)
                self.wait_ready(deadline - time.monotonic())
                for node in self.nodes:
                    if not node.running:
                        raise node.error("ended while the grid was starting")
                self._step("ready")
            except BaseException:
                self.stop()
                raise
            return self

    def stop(self, timeout: float = 10) -> None:
        """
        Stop all nodes, after `timeout` seconds by force, and let go of the folder.

        Any thread may call it, at any time and again; a start that is under way fails.
        """
        self._ending.set()
        with self._changing:
            try:
                for node in self.nodes:
                    node.ask_to_stop()
                deadline = time.monotonic() + timeout
                for node in self.nodes:
                    node.wait_stopped(deadline - time.monotonic())
            finally:
                for node in self.nodes:  # those that an interrupted wait has left
                    node.kill()
                self._folder.release()
                atexit.unregister(self.stop)

    def wait_ready(self, timeout: float = 60) -> None:
        """
        Return when every gateway is connected to every server that runs, and to no other.

        `timeout` in seconds. Frozen nodes do not count: a gateway notices them late.

        Raises: NodeError with the gateway's status of a server, and the end of that server's log.
        """
        deadline = time.monotonic() + timeout
        for gateway in self.gateways:
            while mistake := self._mistake_of(gateway):
                if time.monotonic() > deadline:
                    node, what = mistake
                    raise node.error(f"is not ready after {timeout:.0f} seconds: {what}")
                self._pause(0.1)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *raised: object) -> None:
        self.stop()

    # Steps of the start

    def _make_nodes(self) -> None:
        tahoe_command()
        self._check_not_ending()
        lock = self._folder.hold(self._plan)
        servers, gateways = range(self._plan.servers), range(self._plan.gateways)
        self.introducer = Introducer("introducer", self.folder, lock)
        self.servers = [self.server_type(f"server-{n + 1}", self.folder, lock) for n in servers]
        self.gateways = [Gateway(f"gateway-{n + 1}", self.folder, lock) for n in gateways]
        self.nodes = [self.introducer, *self.servers, *self.gateways]
        for node in self.nodes:
            # Clients that have noted a gateway's URL would send caps to the program that has its
            # port now.
            if isinstance(node, Gateway):
                node.check_port()
            elif not is_free(node.port):
                node.choose_port()
        numbers = {name: str(getattr(self._plan, name)) for name in ("needed", "happy", "total")}
        encoding = {"client": {f"shares.{name}": number for name, number in numbers.items()}}
        self.introducer.configure()
        for server in self.servers:
            server.configure(encoding, self._server_settings)
        for gateway in self.gateways:
            gateway.configure(encoding, self._gateway_settings)

    def _start(self, nodes: Sequence[Node], deadline: float) -> None:
        for node in nodes:
            self._step(f"starting {node.name}", 0)
            node.launch()
        for node in nodes:
            try:
                node.wait_listening(deadline - time.monotonic(), self._pause)
            except PortTakenError:
                if isinstance(node, Gateway) and node.port_is_known:
                    raise
                node.choose_port()
                node.configure()
                node.start(deadline - time.monotonic())
            self._step(f"{node.name} listens")

    def _mistake_of(self, gateway: Gateway) -> tuple[Node, str] | None:
        """The first node that the gateway is wrong about, and how."""
        if gateway.frozen or not gateway.running:
            return None
        try:
            statuses = gateway.server_statuses()
        except OSError as problem:
            return gateway, str(problem)
        for server in self.servers:
            status = statuses.get(server.name, "unknown")
            # "connected", or "Connected to …" in some releases
            is_connected = status.lower().startswith("connected")
            if not server.frozen and server.running != is_connected:
                return server, f"{gateway.name} calls it {status}"
        return None

    def _step(self, what: str, steps: int = 1) -> None:
        self._done += steps
        self._progress(what, self._done, len(self.nodes) + 1)

    def _pause(self, seconds: float = 0.05) -> None:
        self._ending.wait(seconds)
        self._check_not_ending()

    def _check_not_ending(self) -> None:
        if self._ending.is_set():
            raise GridError("this grid was stopped: make a new one")


# The command


def command_parser() -> argparse.ArgumentParser:
    """The parser of `python -m txtahoe.testing.grid`."""
    parser = argparse.ArgumentParser(
        prog="python -m txtahoe.testing.grid",
        description="Run a Tahoe-LAFS grid on 127.0.0.1 until Ctrl-C or SIGTERM. When all servers"
        " are connected, this prints the URLs of its gateways on standard output, one a line.",
    )
    parser.add_argument("--keep", metavar="DIR", type=Path, help="keep the grid in this folder")
    for name, what in (
        ("servers", "storage servers (3, or as many as are kept)"),
        ("gateways", "gateways (1, or as many as are kept)"),
        ("needed", "shares that give a file back (half the servers)"),
        ("total", "shares of a file (one for each server)"),
        ("happy", "servers that an upload must reach (as many as shares are needed)"),
    ):
        parser.add_argument(f"--{name}", metavar="N", type=int, help=what)
    return parser


def report(what: str, done: int, steps: int) -> None:
    """Show progress on standard error."""
    print(f"{done}/{steps} {what}", file=sys.stderr, flush=True)


def interrupt_once(number: int, frame: FrameType | None) -> NoReturn:
    """Handle a signal: the first one interrupts, later ones leave the stop alone."""
    for interrupting in (signal.SIGINT, signal.SIGTERM):
        signal.signal(interrupting, lambda number, frame: None)
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a grid in the foreground; the exit status is 0 after Ctrl-C or SIGTERM."""
    parser = command_parser()
    options = vars(parser.parse_args(arguments))
    for interrupting in (signal.SIGINT, signal.SIGTERM):
        signal.signal(interrupting, interrupt_once)
    try:
        with Grid(options.pop("keep"), **options, progress=report) as grid:
            print(*grid.gateway_urls, sep="\n", flush=True)
            print(f"The grid runs in {grid.folder}. Ctrl-C stops it.", file=sys.stderr)
            while True:
                time.sleep(1)  # signal.pause would miss a signal that comes right before it
    except KeyboardInterrupt:
        return 0
    except ValueError as problem:
        parser.error(str(problem))
    except (GridError, OSError) as problem:
        print(f"{parser.prog}: {problem}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
