"""The nodes of a Tahoe-LAFS grid: a folder, a configuration and a process of `tahoe run` each."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from configparser import ConfigParser
from pathlib import Path

from txtahoe.testing import tether

Settings = Mapping[str, Mapping[str, str]]
"""Content of tahoe.cfg: section to option to value (Tahoe's docs/configuration.rst)."""

LOOPBACK = "127.0.0.1"

# Below the ports that a system gives to connections, and to programs that ask for any port (from
# 32768 on Linux, from 49152 elsewhere): nobody takes one of these by chance while its node is
# stopped.
_PORTS = range(20_000, 32_768)

# Lines of a node's log that an error shows, and those that it leaves out: connections, and the
# questions of `server_statuses`.
_LOG_TAIL = 25
_LOG_NOISE = re.compile(r"(Starting|Stopping) factory |GET /\?t=json 200 ")


class GridError(Exception):
    """A grid cannot be started or used; the text says why and what to do."""


class NodeError(GridError):
    """A node did not start or did not answer in time; the text ends with the node's own log."""


class PortTakenError(NodeError):
    """Another program listens on the port of a node."""


def tahoe_command() -> list[str]:
    """
    The command line of `tahoe`: that in the environment's TAHOE_COMMAND, such as a path to the
    `tahoe` of another release; else of the Python that runs this, in a virtual environment or not.

    It looks for tahoe-lafs and never imports it: that runs as processes only.

    Raises: GridError if it is not installed, or TAHOE_COMMAND names none.
    """
    text = os.environ.get("TAHOE_COMMAND", "")
    try:
        given = shlex.split(text)
    except ValueError as error:
        reason = f"TAHOE_COMMAND is {text!r}, which a shell could not read: {error}"
        raise GridError(reason) from None
    if given:
        program = shutil.which(given[0])
        if program is None:
            raise GridError(
                f"TAHOE_COMMAND begins with {given[0]!r}, which is no program:"
                " give the path of a `tahoe`"
            )
        # Absolute, because each node runs in its own folder.
        return [os.path.abspath(program), *given[1:]]
    if importlib.util.find_spec("allmydata") is None:
        raise GridError(
            "A grid needs tahoe-lafs, which is not installed here:"
            " pip install 'django-tahoestorage[grid]', or, on Python 3.14 or later, give the"
            " command of a tahoe-lafs on another Python in TAHOE_COMMAND"
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
    """A TCP port of the loopback interface that nobody listens on, out of `_PORTS`."""
    while not is_free(port := secrets.choice(_PORTS)):
        pass
    return port


class Node:
    """
    One node by its name, with the process that runs it, if any.

    Every method blocks until it is done; any thread may call them, one at a time. `port` is the
    TCP port on 127.0.0.1 that the node listens on, `port_is_known` whether the kept folder had it.
    """

    marker = "tahoe-client.tac"  # `tahoe run` tells kinds of nodes apart by the name of this file
    port_option = "tub.port"

    def __init__(self, name: str, grid: Path, lock: int) -> None:
        self.name = name
        self.folder = grid / name
        self.log = self.folder / "twistd.log"
        self.frozen = False
        self._lock = lock
        self._log_start = 0
        self._keeper: threading.Thread | None = None
        self._started: Future[subprocess.Popen[bytes]] = Future()
        kept = self._read_config().get("node", self.port_option, fallback="")
        found = re.match(r"tcp:(\d+)", kept)
        self.port_is_known = found is not None
        self.port = int(found[1]) if found else free_port()

    def __repr__(self) -> str:
        state = "frozen" if self.frozen else "running" if self.running else "stopped"
        return f"<{type(self).__name__} {self.name} on port {self.port}, {state}>"

    # Configuration

    def settings(self) -> dict[str, dict[str, str]]:
        """The lines of tahoe.cfg that the node needs to do its part."""
        return {
            "node": {
                "nickname": self.name,
                "web.port": "",
                "tub.port": f"tcp:{self.port}:interface={LOOPBACK}",
                "tub.location": f"tcp:{LOOPBACK}:{self.port}",
            }
        }

    def configure(self, *more: Settings) -> None:
        """Write the node's folder; later settings win. Other lines of tahoe.cfg stay."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "private").mkdir(mode=0o700, exist_ok=True)
        (self.folder / self.marker).touch()
        config = self._read_config()
        for settings in (self.settings(), *more):
            config.read_dict(settings)
        with (self.folder / "tahoe.cfg").open("w", encoding="utf-8") as file:
            config.write(file)

    def introduce(self, furl: str) -> None:
        """Write down the introducer's address; the node reads it when it starts."""
        introducers = {"introducers": {"default": {"furl": furl}}}
        # YAML is what Tahoe reads; JSON is YAML.
        (self.folder / "private" / "introducers.yaml").write_text(json.dumps(introducers))

    def choose_port(self) -> None:
        """Take another port from the next `configure` on."""
        self.port = free_port()

    def _read_config(self) -> ConfigParser:
        config = ConfigParser(interpolation=None)
        config.read(self.folder / "tahoe.cfg", encoding="utf-8")
        return config

    # Start

    @property
    def running(self) -> bool:
        """Whether the node's process exists; a frozen one does."""
        return self._keeper is not None and self._keeper.is_alive()

    @property
    def pid(self) -> int | None:
        """The process id, None while the node does not run."""
        return self._started.result().pid if self.running else None

    def start(self, timeout: float = 60) -> None:
        """
        Start the process, unless it runs, and return when it listens; `timeout` in seconds.

        Raises: PortTakenError if another program has its port, NodeError with the end of the
        node's log if it ends or does not listen in time.
        """
        if not self.running:
            self.check_port()
            self.launch()
            self.wait_listening(timeout)

    def check_port(self) -> None:
        """Raises: PortTakenError if another program has the port of this node."""
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
        # `tahoe run` refuses to start when any process has the pid of a run that was killed. The
        # second file is that of releases before 1.18.
        for pid_file in ("running.process", "twistd.pid"):
            (self.folder / pid_file).unlink(missing_ok=True)
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        self._started = Future()
        self._keeper = threading.Thread(
            target=self._keep, args=(self._started,), name=f"keeper of {self.name}", daemon=True
        )
        self._keeper.start()
        self._started.result()

    def wait_listening(self, timeout: float, pause: Callable[[float], object] = time.sleep) -> None:
        """Return when the node listens; `timeout` in seconds. Raises: NodeError as `start`."""
        deadline = time.monotonic() + timeout
        # A connection would prove nothing: another program may take it. The line is that of
        # twisted.internet.tcp.Port.
        while f" starting on {self.port}\n" not in (log := self._read_log()):
            if re.search(r" (client|introducer) running\n", log):
                self.kill()
                raise PortTakenError(f"{self.name} could not listen on port {self.port}.")
            if not self.running:
                raise self.error("ended while it was starting")
            if time.monotonic() > deadline:
                raise self.error(f"did not start within {timeout:.0f} seconds")
            pause(0.05)

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
        command = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid())]
        command += [*self.command(), "run", str(self.folder)]
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
                pass_fds=(self._lock,),
            )

    # Stop

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
        self._join(max(timeout, 0))
        self.kill()

    def kill(self) -> None:
        """End the process by SIGKILL: a crash, as far as the node is concerned."""
        self._signal(signal.SIGKILL)
        self._join()
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

    def _join(self, timeout: float | None = None) -> None:
        if self._keeper is not None and self.running:  # Ctrl-C may come before its keeper runs
            self._keeper.join(timeout)

    def _signal(self, number: signal.Signals) -> None:
        if self.running and self._started.exception() is None:
            self._started.result().send_signal(number)

    # Log

    def log_tail(self) -> str:
        """The last lines of the node's log since its last start, without the noise."""
        lines = [line for line in self._read_log().splitlines() if not _LOG_NOISE.search(line)]
        return "\n".join(lines[-_LOG_TAIL:])

    def error(self, what: str) -> NodeError:
        """The error to raise when the node did something wrong, with the end of its log."""
        tail = self.log_tail()
        kind = PortTakenError if "CannotListenError" in tail else NodeError
        return kind(f"{self.name} {what}. Its log, {self.log}, ends:\n{tail}")

    def _read_log(self) -> str:
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode("utf-8", "replace")


class Introducer(Node):
    """The node that tells the others of each other."""

    marker = "tahoe-introducer.tac"

    @property
    def furl(self) -> str:
        """The address by which the others find it; known once it listens."""
        return (self.folder / "private" / "introducer.furl").read_text("ascii").strip()


class Server(Node):
    """A storage server."""

    def settings(self) -> dict[str, dict[str, str]]:
        return {**super().settings(), "storage": {"enabled": "true", "reserved_space": "0"}}


class Gateway(Node):
    """A node that serves the web API."""

    port_option = "web.port"

    @property
    def url(self) -> str:
        """The root of the web API, with the slash at its end; the same after every restart."""
        return f"http://{LOOPBACK}:{self.port}/"

    def settings(self) -> dict[str, dict[str, str]]:
        return {
            "node": {
                "nickname": self.name,
                "web.port": f"tcp:{self.port}:interface={LOOPBACK}",
                "tub.port": "disabled",
                "tub.location": "disabled",
            },
            "storage": {"enabled": "false"},
        }

    def server_statuses(self) -> dict[str, str]:
        """
        The status of this gateway's connection to each storage server, by nickname.

        Raises: OSError if it does not answer within 5 seconds.
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
