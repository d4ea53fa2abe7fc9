"""The nodes of a Tahoe-LAFS grid: a folder, a configuration and a process of `tahoe run` each."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from configparser import ConfigParser
from pathlib import Path

from txtahoe.testing import tether

Settings = Mapping[str, Mapping[str, str]]
"""Content of tahoe.cfg: section to option to value (Tahoe's docs/configuration.rst)."""

LOOPBACK = "127.0.0.1"
PORTS = range(20_000, 32_768)
"""Below those that a system hands out to connections and to who asks for any port (from 32768 on
Linux, from 49152 elsewhere): nobody takes one of these by chance while its node is stopped."""

LOG_TAIL = 25
"""Lines of a node's log that an error shows."""

LOG_NOISE = re.compile(r"(Starting|Stopping) factory |GET /\?t=json 200 ")
"""Lines of a node's log that an error does not show: connections, and our own questions."""


class GridError(Exception):
    """A grid cannot be started or used; the text says why and what to do."""


class NodeError(GridError):
    """A node did not start or did not answer in time; the text ends with the node's own log."""


class PortTakenError(NodeError):
    """Another program listens on the port of a node."""


def tahoe_command() -> list[str]:
    """The command line of `tahoe`, of the Python that runs this, in a virtual environment or not.

    Raises GridError when tahoe-lafs is not installed. It is looked for, never imported: it runs
    as processes only.
    """
    if importlib.util.find_spec("allmydata") is None:
        raise GridError(
            "A grid needs tahoe-lafs, which is not installed here:"
            " pip install 'django-tahoestorage[grid]'"
        )
    # -P: the working folder is no place to import from.
    return [sys.executable, "-P", "-m", "allmydata.scripts.runner"]


def is_free(port: int) -> bool:
    """Whether a server can listen on this TCP port of the loopback interface."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on, out of `PORTS`."""
    while not is_free(port := secrets.choice(PORTS)):
        pass
    return port


def is_connected(status: str) -> bool:
    """Whether a `connection_status` means so: "connected", or "Connected to …" in some releases."""
    return status.lower().startswith("connected")


class Node:
    """One node by its name, with the process that runs it, if any.

    Every method blocks until it is done; any thread may call them, one at a time. `port` is the
    TCP port on 127.0.0.1 that the node listens on, `port_is_known` whether the kept folder had it.
    """

    marker = "tahoe-client.tac"  # `tahoe run` tells kinds of nodes apart by the name of this file
    port_pattern = r"tcp:(\d+)"
    port_option = "tub.port"

    def __init__(self, name: str, folder: Path, lock: int | None = None) -> None:
        self.name = name
        self.folder = folder
        self.log = folder / "twistd.log"
        self.frozen = False
        self._lock = lock
        self._log_start = 0
        self._keeper: threading.Thread | None = None
        self._started: Future[subprocess.Popen[bytes]] = Future()
        kept = self._kept_port()
        self.port = kept or free_port()
        self.port_is_known = kept is not None

    def __repr__(self) -> str:
        state = "frozen" if self.frozen else "running" if self.running else "stopped"
        return f"<{type(self).__name__} {self.name} on port {self.port}, {state}>"

    # Configuration

    def settings(self) -> dict[str, dict[str, str]]:
        """What the node needs in its tahoe.cfg to do its part."""
        return {
            "node": {
                "nickname": self.name,
                "web.port": "",
                "tub.port": f"tcp:{self.port}:interface={LOOPBACK}",
                "tub.location": f"tcp:{LOOPBACK}:{self.port}",
            }
        }

    def configure(self, *more: Settings) -> None:
        """Write the node's folder; later settings win. What else stands in tahoe.cfg is kept."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "private").mkdir(mode=0o700, exist_ok=True)
        (self.folder / self.marker).touch()
        config = self._read_config()
        for settings in (self.settings(), *more):
            config.read_dict(settings)
        with (self.folder / "tahoe.cfg").open("w", encoding="utf-8") as file:
            config.write(file)

    def choose_port(self) -> None:
        """Take another port from the next `configure` on."""
        self.port = free_port()

    def _read_config(self) -> ConfigParser:
        config = ConfigParser(interpolation=None)
        config.read(self.folder / "tahoe.cfg", encoding="utf-8")
        return config

    def _kept_port(self) -> int | None:
        value = self._read_config().get("node", self.port_option, fallback="")
        found = re.match(self.port_pattern, value)
        return int(found[1]) if found else None

    # Process

    @property
    def running(self) -> bool:
        """Whether the node's process exists; a frozen one does."""
        return self._keeper is not None and self._keeper.is_alive()

    @property
    def pid(self) -> int | None:
        """The process id, None while the node does not run."""
        return self._started.result().pid if self.running else None

    def start(self, timeout: float = 60) -> None:
        """Start the process and return when it listens; nothing happens when it runs already.

        `timeout` in seconds. Raises PortTakenError when another program has its port, and
        NodeError with the end of the node's log when it ends or does not listen in time.
        """
        if self.running:
            return
        self.check_port()
        self.launch()
        self.wait_listening(timeout)

    def check_port(self) -> None:
        """Raise PortTakenError when another program has the port of this node."""
        if not is_free(self.port):
            raise PortTakenError(
                f"{self.name} cannot listen on port {self.port} of {LOOPBACK}: another program"
                f" does. Stop that program, or remove {self.port_option} from"
                f" {self.folder / 'tahoe.cfg'}: then the next grid here takes a new port."
            )

    def command(self) -> list[str]:
        """The command line of `tahoe` for this node. Raises: as `tahoe_command`."""
        return tahoe_command()

    def launch(self) -> None:
        """Start the process of a node that does not run, and return at once."""
        self._forget_last_run()
        self._started = Future()
        self._keeper = threading.Thread(
            target=self._keep, args=(self._started,), name=f"keeper of {self.name}", daemon=True
        )
        self._keeper.start()
        self._started.result()

    def wait_listening(self, timeout: float, pause: Callable[[float], object] = time.sleep) -> None:
        """Return when the node listens; `timeout` in seconds. Raises NodeError as `start` does."""
        deadline = time.monotonic() + timeout
        while not self._says_it_listens():
            if not self.running:
                raise self.error("ended while it was starting")
            if time.monotonic() > deadline:
                raise self.error(f"did not start within {timeout:.0f} seconds")
            pause(0.05)

    def _says_it_listens(self) -> bool:
        # A connection would prove nothing: it may be another program that takes it.
        log = self._read_log()
        if f" starting on {self.port}\n" in log:  # twisted.internet.tcp.Port
            return True
        if re.search(r" (client|introducer) running\n", log):
            self.kill()
            raise PortTakenError(f"{self.name} could not listen on port {self.port}.")
        return False

    def stop(self, timeout: float = 10) -> None:
        """End the process in good order, or after `timeout` seconds by force."""
        self.ask_to_stop()
        self.wait_stopped(timeout)

    def ask_to_stop(self) -> None:
        """Send SIGTERM, and wake a frozen process up so that it can follow."""
        self._signal(signal.SIGTERM)
        self.thaw()

    def wait_stopped(self, timeout: float) -> None:
        """Return when the process has ended; after `timeout` seconds end it by SIGKILL."""
        if self._keeper is not None:
            self._keeper.join(max(timeout, 0))
            self.kill()

    def kill(self) -> None:
        """End the process by SIGKILL: a crash, as far as the node is concerned."""
        self._signal(signal.SIGKILL)
        if self._keeper is not None:
            self._keeper.join()
        self.frozen = False

    def freeze(self) -> None:
        """Stop the process by SIGSTOP: it keeps its connections and answers nothing."""
        self._signal(signal.SIGSTOP)
        self.frozen = self.running

    def thaw(self) -> None:
        """Let a frozen process go on."""
        self._signal(signal.SIGCONT)
        self.frozen = False

    def restart(self, timeout: float = 60) -> None:
        """Stop and start; the folder, the keys and the port stay."""
        self.stop()
        self.start(timeout)

    def log_tail(self) -> str:
        """The last lines of what the node has logged since its last start, without the noise."""
        lines = [line for line in self._read_log().splitlines() if not LOG_NOISE.search(line)]
        return "\n".join(lines[-LOG_TAIL:])

    def _read_log(self) -> str:
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode("utf-8", "replace")

    def _forget_last_run(self) -> None:
        # `tahoe run` refuses to start when any process has the pid of a run that was killed.
        (self.folder / "running.process").unlink(missing_ok=True)
        self._log_start = self.log.stat().st_size if self.log.exists() else 0

    def _keep(self, started: Future[subprocess.Popen[bytes]]) -> None:
        """Start the process and wait for it, in one thread: the kernel ends it with the thread."""
        try:
            process = self._spawn()
        except BaseException as problem:
            started.set_exception(problem)
            return
        with process:
            started.set_result(process)
            process.wait()

    def _spawn(self) -> subprocess.Popen[bytes]:
        command: Sequence[str] = [
            *(sys.executable, "-I", "-S", tether.__file__, str(os.getpid())),
            *(*self.command(), "run", str(self.folder)),
        ]
        with self.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603  # nothing in it comes from outside
                command,
                # `tahoe run` ends when its standard input closes: where there is no tether, the
                # end of the parent still reaches a node that is not frozen.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                # Ctrl-C at the terminal is for us, who stop the nodes in good order.
                start_new_session=True,
                pass_fds=() if self._lock is None else (self._lock,),
            )

    def _signal(self, number: signal.Signals) -> None:
        if self.running and self._started.exception() is None:
            self._started.result().send_signal(number)

    def error(self, what: str) -> NodeError:
        """What to raise when the node did something wrong, with the end of its log."""
        tail = self.log_tail()
        kind = PortTakenError if "CannotListenError" in tail else NodeError
        return kind(f"{self.name} {what}. Its log, {self.log}, ends:\n{tail}")


class Introducer(Node):
    """The node that tells the others of each other."""

    marker = "tahoe-introducer.tac"

    @property
    def furl(self) -> str:
        """The address by which the others find it; known once it listens."""
        return (self.folder / "private" / "introducer.furl").read_text("ascii").strip()


class Client(Node):
    """A node that finds the others through the introducer."""

    def introduce(self, furl: str) -> None:
        """Write down the introducer's address; it is read when the node starts."""
        introducers = {"introducers": {"default": {"furl": furl}}}
        # YAML is what Tahoe reads; JSON is YAML.
        (self.folder / "private" / "introducers.yaml").write_text(json.dumps(introducers))


class Server(Client):
    """A storage server."""

    def settings(self) -> dict[str, dict[str, str]]:
        """What the node needs in its tahoe.cfg to do its part."""
        return {**super().settings(), "storage": {"enabled": "true", "reserved_space": "0"}}

    def shares_folder(self, storage_index: str) -> Path:
        """Where the shares of a storage index lie, one file for each share number.

        The storage index in base 32, as it stands in verify caps. The folder exists only when
        there are shares (Tahoe's docs/architecture.rst and allmydata/storage/common.py).
        """
        return self.folder / "storage" / "shares" / storage_index[:2] / storage_index


class Gateway(Client):
    """A node that serves the web API."""

    port_option = "web.port"

    @property
    def url(self) -> str:
        """The root of the web API, with the slash at its end; the same after every restart."""
        return f"http://{LOOPBACK}:{self.port}/"

    def settings(self) -> dict[str, dict[str, str]]:
        """What the node needs in its tahoe.cfg to do its part."""
        return {
            "node": {
                "nickname": self.name,
                "web.port": f"tcp:{self.port}:interface={LOOPBACK}",
                "tub.port": "disabled",
                "tub.location": "disabled",
            },
            "storage": {"enabled": "false"},
        }

    def connected_servers(self) -> set[str]:
        """The nicknames of the storage servers that this gateway says it is connected to.

        Raises OSError when it does not answer within 5 seconds.
        """
        return {name for name, status in self.server_statuses().items() if is_connected(status)}

    def server_statuses(self) -> dict[str, str]:
        """What this gateway says of its connection to each storage server, by nickname.

        Raises OSError when it does not answer within 5 seconds.
        """
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=5)
        try:
            connection.request("GET", "/?t=json")
            welcome = json.load(connection.getresponse())
        except (http.client.HTTPException, ValueError) as problem:
            raise ConnectionError(f"{self.name} gave no proper answer: {problem!r}") from problem
        finally:
            connection.close()
        return {server["nickname"]: server["connection_status"] for server in welcome["servers"]}
