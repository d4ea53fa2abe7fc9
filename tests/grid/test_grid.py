"""The grid on loopback: its nodes by name, its folder, its end."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import IO
from unittest import mock

import psutil
from twisted.trial.unittest import SynchronousTestCase

from tests.contract.__main__ import main as contract_main
from tests.grid.shared import shared_grid
from tests.needs import GRID, TIME, needs
from tests.waiting import wait_until
from txtahoe.testing.folder import Plan
from txtahoe.testing.grid import Gateway, Grid, GridError, NodeError, PortTakenError, command_parser
from txtahoe.testing.node import free_port, tahoe_command

SMALL = {"servers": 1, "gateways": 1}

PARENT = """
import os, signal, sys, time
from txtahoe.testing.grid import Grid

with Grid(sys.argv[1], servers=1, gateways=1) as grid:
    {body}
"""


def request(url: str, method: str, path: str, body: bytes | None = None) -> bytes:
    connection = http.client.HTTPConnection(url.split("/")[2], timeout=30)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    assert response.status == 200, content
    return content


def upload(url: str, data: bytes) -> str:
    return request(url, "PUT", "/uri", data).decode("ascii")


def download(url: str, cap: str) -> bytes:
    return request(url, "GET", f"/uri/{cap}")


def storage_index(url: str, cap: str) -> str:
    _, facts = json.loads(request(url, "GET", f"/uri/{cap}?t=json"))
    return facts["verify_uri"].split(":")[2]


def connected(gateway: Gateway) -> set[str]:
    """The nicknames of the storage servers that a gateway is connected to."""
    statuses = gateway.server_statuses().items()
    return {name for name, status in statuses if status.lower().startswith("connected")}


def processes_in(folder: Path) -> list[int]:
    """The processes of all nodes in this folder."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE
        and any(word.startswith(f"{folder}/") for word in process.info["cmdline"] or ())
    ]


@contextmanager
def parent(folder: Path, body: str) -> Iterator[subprocess.Popen[str]]:
    """A process that starts a grid, then does `body`."""
    command = [sys.executable, "-W", "ignore", "-c", PARENT.format(body=body), str(folder)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def command(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """`python -m txtahoe.testing.grid`, in a process group of its own."""
    words = [sys.executable, "-m", "txtahoe.testing.grid", *map(str, arguments)]
    with subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(stream: IO[str], word: str) -> str:
    for line in stream:
        if word in line:
            return line
    raise AssertionError(f"no line with {word!r}")


@needs(GRID, TIME)
class NodeTests(SynchronousTestCase):
    """The nodes of a running grid, by name."""

    def setUp(self) -> None:
        self.grid = shared_grid()
        self.addCleanup(self.mend)

    def mend(self) -> None:
        for node in self.grid.nodes:
            node.thaw()
            node.start()
        self.grid.wait_ready()

    def test_every_gateway_is_connected_to_every_server(self) -> None:
        for gateway in self.grid.gateways:
            self.assertEqual(connected(gateway), {"server-1", "server-2", "server-3"})

    def test_urls_end_with_a_slash(self) -> None:
        port = self.grid.gateways[0].port
        self.assertEqual(self.grid.gateway_urls[0], f"http://127.0.0.1:{port}/")
        self.assertEqual(len(self.grid.gateway_urls), 2)

    def test_nodes_have_names(self) -> None:
        self.assertIs(self.grid.node("introducer"), self.grid.introducer)
        self.assertIs(self.grid.node("server-2"), self.grid.servers[1])
        self.assertIs(self.grid.node("gateway-1"), self.grid.gateways[0])

    def test_an_unknown_name_is_refused_with_the_known_ones(self) -> None:
        problem = self.assertRaises(LookupError, self.grid.node, "server-9")
        self.assertIn("'server-9'", str(problem))
        self.assertIn("introducer, server-1, server-2", str(problem))

    def test_files_are_encoded_as_asked_and_the_shares_are_found(self) -> None:
        url = self.grid.gateway_urls[0]
        cap = upload(url, b"x" * 10_000)
        self.assertIn(":2:3:10000", cap)
        shares = self.grid.share_files(storage_index(url, cap))
        self.assertEqual(sorted(share.name for share in shares), ["0", "1", "2"])
        self.assertTrue(all(share.is_file() for share in shares))

    def test_an_unknown_storage_index_has_no_share_files(self) -> None:
        self.assertEqual(self.grid.share_files("a" * 26), [])

    def test_wait_ready_waits_until_gateways_have_lost_a_stopped_server(self) -> None:
        server = self.grid.node("server-1")
        server.stop()
        self.assertFalse(server.running)
        self.assertIsNone(server.pid)
        self.grid.wait_ready(timeout=20)
        for gateway in self.grid.gateways:
            self.assertEqual(connected(gateway), {"server-2", "server-3"})

    def test_a_killed_server_starts_again_on_its_port(self) -> None:
        server = self.grid.node("server-1")
        pid, port = server.pid, server.port
        server.kill()
        self.assertFalse(psutil.pid_exists(pid))
        self.assertTrue((server.folder / "running.process").exists())
        server.start()
        self.grid.wait_ready()
        self.assertEqual(server.port, port)
        self.assertNotEqual(server.pid, pid)

    def test_a_pid_file_with_the_pid_of_another_process_is_ignored(self) -> None:
        server = self.grid.node("server-1")
        server.kill()
        (server.folder / "running.process").write_text(f"{os.getpid()} 1.0\n")
        server.start()
        self.assertTrue(server.running)

    def test_start_of_a_running_node_changes_nothing(self) -> None:
        server = self.grid.node("server-1")
        pid = server.pid
        server.start()
        self.assertEqual(server.pid, pid)

    def test_stop_and_kill_of_a_stopped_node_change_nothing(self) -> None:
        server = self.grid.node("server-1")
        for end in (server.stop, server.stop, server.kill, server.freeze, server.thaw):
            end()
            self.assertFalse(server.running)
            self.assertFalse(server.frozen)

    def test_a_frozen_server_runs_but_is_stopped_until_it_thaws(self) -> None:
        server = self.grid.node("server-1")
        process = psutil.Process(server.pid)
        server.freeze()
        self.assertTrue(server.running)
        self.assertTrue(server.frozen)
        wait_until(lambda: process.status() == psutil.STATUS_STOPPED)
        self.grid.wait_ready(timeout=5)
        server.thaw()
        wait_until(lambda: process.status() != psutil.STATUS_STOPPED)
        self.assertFalse(server.frozen)

    def test_a_frozen_node_stops_in_good_order(self) -> None:
        server = self.grid.node("server-1")
        server.freeze()
        server.stop()
        self.assertFalse(server.running)
        self.assertFalse(server.frozen)
        self.assertIn("Server Shut Down", server.log_tail())

    def test_a_restarted_gateway_keeps_its_url_and_its_data(self) -> None:
        gateway = self.grid.gateways[0]
        url = gateway.url
        cap = upload(url, b"before" * 1000)
        gateway.restart()
        self.grid.wait_ready()
        self.assertEqual(gateway.url, url)
        self.assertEqual(download(url, cap), b"before" * 1000)

    def test_a_restarted_introducer_finds_its_nodes_again(self) -> None:
        furl = self.grid.introducer.furl
        self.grid.introducer.restart()
        self.grid.gateways[0].restart()
        self.grid.wait_ready()
        self.assertEqual(self.grid.introducer.furl, furl)

    def test_a_node_that_does_not_start_shows_the_end_of_its_log(self) -> None:
        server = self.grid.node("server-1")
        server.stop()
        config = server.folder / "tahoe.cfg"
        content = config.read_text()
        self.addCleanup(config.write_text, content)
        config.write_text(content.replace("nickname", "nickname-of-old"))
        problem = self.assertRaises(NodeError, server.start)
        self.assertIn("server-1 ended while it was starting", str(problem))
        self.assertIn("contains unknown option 'nickname-of-old'", str(problem))
        config.write_text(content)

    def test_a_node_that_is_too_slow_shows_the_end_of_its_log(self) -> None:
        server = self.grid.node("server-1")
        server.stop()
        problem = self.assertRaises(NodeError, server.start, timeout=0)
        self.assertIn("server-1 did not start within 0 seconds", str(problem))
        self.assertIn(str(server.log), str(problem))

    def test_wait_ready_names_the_server_that_is_not_connected(self) -> None:
        gateway = self.grid.gateways[0]
        statuses = {"server-1": "connected", "server-2": "failure: refused"}
        with mock.patch.object(gateway, "server_statuses", return_value=statuses):
            problem = self.assertRaises(NodeError, self.grid.wait_ready, timeout=0)
        self.assertIn(
            "server-2 is not ready after 0 seconds: gateway-1 calls it failure: refused",
            str(problem),
        )
        self.assertIn(str(self.grid.servers[1].log), str(problem))

    def test_a_node_outlives_the_thread_that_started_it(self) -> None:
        server = self.grid.node("server-1")
        server.stop()
        starter = threading.Thread(target=server.start)
        starter.start()
        starter.join()
        time.sleep(0.5)
        self.assertTrue(server.running)

    def test_a_forked_child_does_not_stop_its_parents_grid(self) -> None:
        child = os.fork()
        if child == 0:
            self.grid.stop()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        self.assertEqual(status, 0)
        self.assertTrue(self.grid.folder.exists())
        self.assertTrue(all(node.running for node in self.grid.nodes))
        self.assertEqual(len(processes_in(self.grid.folder)), 6)


class PlanTests(SynchronousTestCase):
    """The numbers of a grid, before anything starts."""

    @needs(GRID)
    def test_ctrl_c_before_the_first_process_starts_ends_in_good_order(self) -> None:
        with mock.patch("threading.Thread.start", side_effect=KeyboardInterrupt):
            self.assertRaises(KeyboardInterrupt, Grid().start)

    def test_other_numbers_default_to_those_that_fit_the_servers(self) -> None:
        for servers, encoding in ((1, (1, 1, 1)), (2, (1, 2, 1)), (3, (2, 3, 2)), (5, (3, 5, 3))):
            plan = Plan(servers=servers)
            self.assertEqual((plan.needed, plan.total, plan.happy), encoding)

    def test_numbers_with_which_no_upload_could_succeed_are_refused(self) -> None:
        for numbers, reason in (
            ({"servers": 0}, "servers is 0: give 1 or more"),
            ({"gateways": 0}, "gateways is 0: give 1 or more"),
            ({"servers": 2, "needed": 3}, "needed must not be more than servers"),
            ({"servers": 2, "happy": 3}, "happy must not be more than servers"),
            ({"needed": 3, "total": 2}, "needed must not be more than total"),
            ({"total": 257}, "256 shares at most"),
        ):
            problem = self.assertRaises(ValueError, Grid, **numbers)
            self.assertIn(reason, str(problem))

    def test_a_folder_of_something_else_is_refused_and_left_alone(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "thesis.txt").touch()
        problem = self.assertRaises(GridError, Grid, folder)
        self.assertIn("give a new or an empty one", str(problem))
        self.assertEqual([entry.name for entry in folder.iterdir()], ["thesis.txt"])

    def test_a_file_in_place_of_the_folder_is_refused(self) -> None:
        file = Path(self.mktemp())
        file.touch()
        self.assertRaises(GridError, Grid, file)

    def test_without_tahoe_lafs_the_error_names_the_extra_to_install(self) -> None:
        folder = Path(self.mktemp())
        nothing = mock.patch("importlib.util.find_spec", return_value=None)
        with nothing, mock.patch.dict(os.environ, TAHOE_COMMAND=""):
            problem = self.assertRaises(GridError, Grid(folder).start)
        self.assertIn("pip install 'django-tahoestorage[grid]'", str(problem))
        self.assertFalse(folder.exists())

    def test_the_environment_can_name_the_tahoe_of_another_release(self) -> None:
        program = Path(self.mktemp())
        program.touch(0o755)
        with mock.patch.dict(os.environ, TAHOE_COMMAND=f"{program} --quiet"):
            # Nodes run in folders of their own.
            self.assertEqual(tahoe_command(), [str(program.absolute()), "--quiet"])

    def test_a_program_that_is_not_there_is_named(self) -> None:
        with mock.patch.dict(os.environ, TAHOE_COMMAND="/nowhere/tahoe"):
            problem = self.assertRaises(GridError, Grid(self.mktemp()).start)
        self.assertIn("TAHOE_COMMAND begins with '/nowhere/tahoe'", str(problem))

    def test_a_command_that_no_shell_could_read_is_named(self) -> None:
        with mock.patch.dict(os.environ, TAHOE_COMMAND="o'tahoe"):
            problem = self.assertRaises(GridError, tahoe_command)
        self.assertIn('TAHOE_COMMAND is "o\'tahoe"', str(problem))

    def test_the_contract_suite_does_not_pass_without_the_tahoe_that_it_is_given(self) -> None:
        said = io.StringIO()
        with (
            mock.patch.dict(os.environ),
            mock.patch("sys.argv", ["contract", "--tahoe", "/nowhere/tahoe"]),
            mock.patch("os.execv") as execv,
            redirect_stderr(said),
        ):
            self.assertRaises(SystemExit, contract_main)
        execv.assert_not_called()
        self.assertIn("'/nowhere/tahoe', which is no program", said.getvalue())

    def test_a_stopped_grid_does_not_start(self) -> None:
        grid = Grid()
        grid.stop()
        self.assertIn("stopped", str(self.assertRaises(GridError, grid.start)))

    def test_the_library_imports_neither_tahoe_nor_a_reactor(self) -> None:
        check = (
            "import sys, txtahoe.testing.grid;"
            "sys.exit(bool({'allmydata', 'twisted.internet.reactor'} & set(sys.modules)))"
        )
        self.assertEqual(subprocess.call([sys.executable, "-c", check]), 0)


@needs(GRID, TIME)
class KeptFolderTests(SynchronousTestCase):
    """A grid that is started again in the folder of an earlier one."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()

    def test_a_second_grid_has_the_same_nodes_and_data_and_may_have_more_servers(self) -> None:
        data = os.urandom(10_000)
        settings = {"storage": {"expire.enabled": "true", "expire.mode": "age"}}
        with Grid(self.folder, **SMALL, server_settings=settings) as first:
            [url] = first.gateway_urls
            cap = upload(url, data)
            identity = (first.servers[0].folder / "my_nodeid").read_text()
            furl = first.introducer.furl
        self.assertEqual(processes_in(self.folder), [])

        problem = self.assertRaises(ValueError, Grid, self.folder, servers=0)
        self.assertIn("holds 1 of them", str(problem))

        stranger = socket.create_server(("127.0.0.1", first.servers[0].port))
        with stranger, Grid(self.folder, servers=2) as second:
            self.assertEqual(second.gateway_urls, [url])
            self.assertEqual(download(url, cap), data)
            self.assertEqual((second.servers[0].folder / "my_nodeid").read_text(), identity)
            self.assertEqual(second.introducer.furl, furl)
            self.assertEqual(connected(second.gateways[0]), {"server-1", "server-2"})
            config = (second.servers[0].folder / "tahoe.cfg").read_text()
            self.assertIn("expire.mode = age", config)

        with socket.create_server(("127.0.0.1", second.gateways[0].port)):
            problem = self.assertRaises(PortTakenError, Grid(self.folder).start)
        self.assertIn("gateway-1 cannot listen on port", str(problem))
        self.assertIn("remove web.port", str(problem))
        self.assertEqual(processes_in(self.folder), [])

    def test_a_folder_in_use_is_refused(self) -> None:
        with Grid(self.folder, **SMALL):
            problem = self.assertRaises(GridError, Grid(self.folder).start)
            self.assertIn(f"the process {os.getpid()} runs the grid in it", str(problem))

            with command("--keep", self.folder) as other:
                output, errors = other.communicate(timeout=120)
            self.assertEqual((other.returncode, output), (1, ""))
            self.assertIn("is in use", errors)
            self.assertNotIn("Traceback", errors)
            self.assertEqual(len(processes_in(self.folder)), 3)

    def test_a_new_grid_takes_other_ports_if_some_are_taken(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as stranger:
            taken = stranger.getsockname()[1]
            ports = [taken, taken, taken, free_port(), free_port(), free_port()]
            with (
                mock.patch("txtahoe.testing.node.free_port", side_effect=ports),
                mock.patch("txtahoe.testing.node.is_free", return_value=True),
                mock.patch("txtahoe.testing.grid.is_free", return_value=True),
                Grid(self.folder, **SMALL) as grid,
            ):
                self.assertNotIn(taken, [node.port for node in grid.nodes])
                self.assertEqual(connected(grid.gateways[0]), {"server-1"})


@needs(GRID, TIME)
class EndTests(SynchronousTestCase):
    """However its process ends, nothing of a grid is left running."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()

    def wait_until_all_have_ended(self) -> None:
        wait_until(lambda: processes_in(self.folder) == [])

    def test_an_exception_stops_all_and_removes_a_temporary_folder(self) -> None:
        grid = Grid(**SMALL)
        with self.assertRaises(ZeroDivisionError), grid:
            self.assertEqual(len(processes_in(grid.folder)), 3)
            grid.servers[0].freeze()
            1 / 0
        self.assertEqual(processes_in(grid.folder), [])
        self.assertFalse(grid.folder.exists())

    def test_a_failed_start_stops_all(self) -> None:
        nonsense = {"node": {"no-such-option": "1"}}
        grid = Grid(self.folder, **SMALL, gateway_settings=nonsense)
        problem = self.assertRaises(NodeError, grid.start)
        self.assertIn("no-such-option", str(problem))
        self.assertEqual(processes_in(self.folder), [])

    def test_an_exit_without_stop_stops_all_in_good_order(self) -> None:
        with parent(self.folder, "grid.__class__.__exit__ = lambda *_: None") as process:
            self.assertEqual(process.wait(60), 0)
        self.assertEqual(processes_in(self.folder), [])
        log = (self.folder / "server-1" / "twistd.log").read_text()
        self.assertIn("Server Shut Down", log)

    def test_sigkill_of_the_parent_ends_frozen_nodes_too_although_a_fork_lives(self) -> None:
        body = (
            "grid.node('server-1').freeze(); child = os.fork();"
            "child or time.sleep(120); print('ready', child, flush=True); time.sleep(120)"
        )
        with parent(self.folder, body) as process:
            child = int(read_until(process.stdout, "ready").split()[1])
            self.addCleanup(os.kill, child, signal.SIGKILL)
            self.assertEqual(len(processes_in(self.folder)), 3)
            process.kill()
            self.wait_until_all_have_ended()
        self.assertTrue((self.folder / "server-1" / "running.process").exists())
        with Grid(self.folder) as grid:
            self.assertEqual(connected(grid.gateways[0]), {"server-1"})

    def test_sigterm_of_the_parent_ends_all(self) -> None:
        with parent(self.folder, "print('ready', flush=True); time.sleep(120)") as process:
            read_until(process.stdout, "ready")
            process.terminate()
            self.assertEqual(process.wait(), -signal.SIGTERM)
            self.wait_until_all_have_ended()

    def test_a_closed_standard_input_ends_a_node_too(self) -> None:
        with Grid(self.folder, **SMALL) as grid:
            server = grid.servers[0]
            server._started.result().stdin.close()
            wait_until(lambda: not server.running)


@needs(GRID, TIME)
class CommandTests(SynchronousTestCase):
    """`python -m txtahoe.testing.grid`."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()

    def ended_well(self, process: subprocess.Popen[str]) -> None:
        _, errors = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 0)
        self.assertNotIn("Traceback", errors)
        self.assertEqual(processes_in(self.folder), [])

    def test_it_prints_urls_and_progress_and_ends_by_ctrl_c(self) -> None:
        with command("--keep", self.folder, "--servers=1", "--gateways=2") as process:
            urls = [process.stdout.readline().strip() for _ in range(2)]
            for url in urls:
                self.assertEqual(download(url, upload(url, b"y" * 1000)), b"y" * 1000)
            self.assertIn("0/5 starting introducer", process.stderr.readline())
            read_until(process.stderr, "5/5 ready")
            read_until(process.stderr, "Ctrl-C stops it")
            self.assertEqual(len(processes_in(self.folder)), 4)
            os.killpg(process.pid, signal.SIGINT)
            self.ended_well(process)

    def test_it_ends_by_sigterm_and_ignores_a_second_signal(self) -> None:
        with command("--keep", self.folder, "--servers=1") as process:
            process.stdout.readline()
            process.terminate()
            process.send_signal(signal.SIGINT)
            self.ended_well(process)

    def test_it_ends_by_ctrl_c_while_it_starts(self) -> None:
        with command("--keep", self.folder) as process:
            read_until(process.stderr, "starting server-2")
            os.killpg(process.pid, signal.SIGINT)
            self.ended_well(process)

    def test_bad_arguments_get_a_message(self) -> None:
        for arguments, message in (
            (["--servers=2", "--needed=3"], "needed must not be more than servers"),
            (["--happy=4"], "happy must not be more than servers"),
            (["--servers=many"], "invalid int value: 'many'"),
            (["--keep", sys.prefix], "no folder of a grid: give a new or an empty one"),
            (["--keep", "/dev/null/grid"], "Not a directory"),
        ):
            with command(*arguments) as process:
                output, errors = process.communicate(timeout=120)
            self.assertNotEqual(process.returncode, 0)
            self.assertIn(message, errors)
            self.assertNotIn("Traceback", errors)
            self.assertEqual(output, "")

    def test_help_names_every_option(self) -> None:
        text = command_parser().format_help()
        for option in ("--keep", "--servers", "--gateways", "--needed", "--total", "--happy"):
            self.assertIn(option, text)
