"""No log, error, repr or warning shows a cap or a piece of one."""

from __future__ import annotations

import gc
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred

from tests.faults.case import in_thread, mend, pause
from tests.grid import strangers
from tests.grid.case import GatewayTestCase
from tests.grid.shares import damage
from tests.needs import GRID, TIME, needs
from tests.secrets.collect import Collector
from tests.secrets.operations import (
    Operation,
    Things,
    every,
    on_a_tree,
    on_checks,
    on_directories,
    on_files,
)
from tests.secrets.test_search import new_cap
from txtahoe import BytesSource, Cap, Client, Transport, Tree
from txtahoe.api import download
from txtahoe.http.failover import Gateways

NOWHERE = "http://127.0.0.1:1/"


def echo(connection: socket.socket) -> None:
    """Answer that there is no such page, and name it, as some web servers do."""
    while asked := connection.recv(2**16):
        body = b"Not Found: the requested URL was not found: " + asked.partition(b"\r\n")[0]
        head = b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n" % len(body)
        connection.sendall(head + body)


class SecretsTestCase(GatewayTestCase):
    """A test that fails if any output while it runs has a cap in it."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(download, "_RESUME_PAUSES", (0.01,))
        self.collector = Collector().__enter__()
        self.addCleanup(self.collector.__exit__)

    def assert_no_leaks(self) -> None:
        self.assertGreater(len(self.collector.secrets), 0)
        leaks = self.collector.leaks()
        if leaks:
            self.fail(f"{len(leaks)} leaks:\n" + "\n".join(leaks))

    async def attempt(self, operation: Operation, where: str) -> Any:
        """Run an operation, and collect all that its result or its error shows."""
        try:
            result = await operation()
        except Exception as error:
            self.collector.exception(error, where)
            return None
        self.collector.value(result, where)
        return result

    async def attempt_for_messages(self, operations: dict[str, Operation]) -> None:
        """As `attempt`, for results that are caps as text: they are in the caller's variables."""
        for name, operation in operations.items():
            try:
                await operation()
            except Exception as error:
                self.collector.message(error, name)
            else:
                self.fail(f"{name} is accepted")

    async def attempt_all(self, operations: dict[str, Operation], trouble: str) -> None:
        for name, operation in operations.items():
            await self.attempt(operation, f"{name}, {trouble}")

    async def new_things(self) -> Things:
        return await Things.made_by(self.client)

    @contextmanager
    def client_of(self, behave: strangers.Behaviour, **options: Any) -> Iterator[Client]:
        """A client of a server that is no gateway."""
        with strangers.stranger(behave) as url:
            yield self.connect(url, **{"pauses": (), "timeout": 0.2, **options})


class Operations(SecretsTestCase):
    """Everything that a client and a tree can do."""

    async def test_when_all_is_well(self) -> None:
        things = await self.new_things()
        await self.attempt_all(every(self.client, things), "well")
        self.collector.value(things, "things")
        self.assert_no_leaks()

    @needs(TIME)
    async def test_with_strangers_in_the_place_of_the_gateway(self) -> None:
        things = await self.new_things()
        for name, behave in {
            "a stranger that speaks another protocol": strangers.banner,
            "a stranger that hangs up": strangers.hang_up,
            "a stranger that names what is asked for": echo,
            "a web server": strangers.answers("200 OK", "<html>Welcome!</html>"),
            "an empty answer": strangers.answers("200 OK", ""),
            "a broken server": strangers.answers("500 Internal Server Error", "<html>Sorry</html>"),
            "a proxy without a gateway": strangers.answers("502 Bad Gateway", "<html>Bad</html>"),
            "a login": strangers.answers("302 Found\r\nLocation: /login", ""),
        }.items():
            with self.client_of(behave) as client:
                await self.attempt_all(every(client, things), name)
        self.flushLoggedErrors()  # Twisted's own, of an answer that comes before its request
        self.assert_no_leaks()

    async def test_with_no_gateway(self) -> None:
        things = await self.new_things()
        client = self.connect(NOWHERE, pauses=())
        await self.attempt_all(every(client, things), "no gateway")
        both = Client(Gateways([client._transport, client._transport]))  # type: ignore[list-item]
        await self.attempt_all(every(both, things), "no gateways")
        self.assert_no_leaks()

    async def test_when_answers_are_lost(self) -> None:
        things = await self.new_things()
        client, proxy = self.connect_through_proxy(pauses=())
        for methods, operations in (
            (("PUT", "GET"), on_files(client, things)),
            (("POST",), on_directories(client, things)),
            (("POST", "GET"), on_checks(client, things)),
            (("GET", "POST"), on_a_tree(client, things)),
        ):
            for method in methods:
                for name, operation in operations.items():
                    proxy.lose_answer(f"{method} /uri")
                    await self.attempt(operation, f"{name}, lost answer to {method}")
        self.assert_no_leaks()

    async def test_when_answers_are_cut(self) -> None:
        things = await self.new_things()
        client, proxy = self.connect_through_proxy(pauses=())
        for received, operations in (
            (20, on_files(client, things)),  # in the head
            (300, on_directories(client, things) | on_a_tree(client, things)),
            (1000, on_directories(client, things) | on_checks(client, things)),
        ):
            for name, operation in operations.items():
                proxy.cut_after(received)
                await self.attempt(operation, f"{name}, cut")
        self.assert_no_leaks()

    @needs(GRID)
    @needs(TIME)
    async def test_when_too_few_servers_are_left(self) -> None:
        self.addCleanup(in_thread, mend, self.grid)
        things = await self.new_things()
        for server in self.grid.servers[:2]:
            await in_thread(server.kill)
        await in_thread(self.grid.wait_ready)
        client = self.connect(self.gateway, pauses=())
        await self.attempt_all(every(client, things), "one server left")
        self.assert_no_leaks()

    @needs(GRID)
    @needs(TIME)
    async def test_when_shares_are_damaged(self) -> None:
        things = await self.new_things()
        for cap in (things.file, things.mutable):
            await in_thread(self.damage, cap)
        await self.attempt_all(on_files(self.client, things), "damaged")
        await self.attempt_all(on_checks(self.client, things), "damaged")
        self.assert_no_leaks()

    @needs(TIME)
    async def test_when_time_runs_out(self) -> None:
        things = await self.new_things()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
        for behave in (strangers.silent, strangers.stalls(head + b'["dirnode", {')):
            with self.client_of(behave, timeout=0.05) as client:
                await self.attempt_all(every(client, things), "timeout")
        self.assert_no_leaks()

    async def test_when_it_is_cancelled(self) -> None:
        things = await self.new_things()
        with self.client_of(strangers.silent, timeout=30) as client:
            for name, operation in every(client, things).items():
                work = ensureDeferred(_awaited(operation))
                await pause(0.01)
                work.cancel()
                await self.attempt(lambda work=work: _awaited(lambda: work), f"{name}, cancelled")
        self.assert_no_leaks()

    async def test_when_nobody_looks_at_the_error(self) -> None:
        things = await self.new_things()
        with self.client_of(strangers.hang_up) as client:
            for operation in (on_directories(client, things) | on_checks(client, things)).values():
                ensureDeferred(_awaited(operation))  # garbage once it has failed
            await pause(1)
        gc.collect()
        self.assertTrue(self.flushLoggedErrors())
        self.assert_no_leaks()

    def damage(self, cap: Cap) -> None:
        if cap.is_mutable:
            assert cap.storage_index is not None
            for path in self.grid.share_files(cap.storage_index):
                share = bytearray(path.read_bytes())
                share[-2000:-1000] = bytes(1000)
                path.write_bytes(share)
        else:
            damage(self.grid, cap, -1)


async def _awaited(operation: Operation) -> Any:
    return await operation()


class WrongAnswers(SecretsTestCase):
    """Wrong answers with caps in them: cut short, wrapped, of other forms."""

    def tearDown(self) -> None:
        # Twisted logs one if an answer comes before its request is sent whole.
        self.flushLoggedErrors(AttributeError)

    async def assert_kept(self, bodies: dict[str, str], names: tuple[str, ...]) -> None:
        things = await self.new_things()
        for what, body in bodies.items():
            for status in ("200 OK", "404 Not Found", "500 Internal Server Error"):
                with self.client_of(strangers.answers(status, body)) as client:
                    operations = every(client, things)
                    for name in names:
                        await self.attempt(operations[name], f"{name}, {what}, {status[:3]}")
        self.assert_no_leaks()

    async def test_nodes(self) -> None:
        cap, reader = new_cap(), new_cap("CHK", ":2:3:6000")
        good = json.dumps(["dirnode", {"rw_uri": str(cap), "ro_uri": str(reader)}])
        await self.assert_kept(
            {
                "a node in a list": f"[{good}]",
                "a node that is cut short": good[:-5],
                "a node with more behind it": f"{good}<!-- -->",
                "a node that is no pair": json.dumps({"rw_uri": str(cap)}),
                "a node whose cap is longer": good.replace(str(cap), f"{cap!s}x"),
                "a page with a node": f"<html>{good}</html>",
            },
            ("info of a file", "info of a directory", "child", "Tree.resolve"),
        )

    async def test_listings(self) -> None:
        children = {"a": ["filenode", {"ro_uri": str(new_cap("CHK", ":2:3:6000"))}]}
        told = {"rw_uri": str(new_cap()), "children": children}
        good = json.dumps(["dirnode", told])
        await self.assert_kept(
            {
                "a listing that is cut short": good[:-5],
                "a listing without a list": json.dumps(["dirnode", children]),
                "a listing that is a list": json.dumps(["dirnode", {"children": [children]}]),
            },
            ("list", "Tree.list", "Tree.prefetch", "Tree.walk", "child directory"),
        )

    async def test_caps(self) -> None:
        cap = new_cap()
        await self.assert_kept(
            {
                "a cap with more behind it": f"{cap!s} <br>",
                "a cap in quotes": f'"{cap!s}"',
                "two caps": f"{cap!s}\n{new_cap()!s}",
                "a cap that is cut short": str(cap)[:-5],
            },
            (
                *("upload", "mkdir", "mkdir_immutable", "create_mutable"),
                *("Tree.save", "Tree.save_many", "Tree.link_many"),
            ),
        )

    async def test_streams_and_reports(self) -> None:
        line = json.dumps({"path": ["a"], "type": "file", "cap": str(new_cap())})
        await self.assert_kept(
            {
                "a line that is cut short": line[:-5],
                "a line without a path": line.replace("path", "paths"),
                "a stream that fails": f"{line}\nERROR: SomeError({line})\nTraceback: {line}\n",
                "a stream without an end": f"{line}\n",
            },
            ("manifest", "deep_check", "check", "check and repair"),
        )


class BadArguments(SecretsTestCase):
    """Mistakes of the caller."""

    async def test_of_the_wrong_kind(self) -> None:
        things, client = await self.new_things(), self.client
        directory, mutable = things.directory, things.mutable
        wrong: Any = object()
        await self.attempt_all(
            {
                "metadata that is no JSON": lambda: client.link(
                    directory, "a", mutable, metadata={"a": wrong}
                ),
                "metadata that is no mapping": lambda: client.link(
                    directory, "a", mutable, metadata=wrong
                ),
                "names that are no str": lambda: client.mkdir({wrong: mutable}),
                "a child that is no cap": lambda: client.mkdir({"a": mutable, "b": wrong}),
                "a format that is none": lambda: client.mkdir(format=wrong),
                "no bytes": lambda: client.overwrite(mutable, wrong),
                "a file as a directory": lambda: client.list(mutable),
                "a directory as a file": lambda: client.read(directory),
                "a reader that writes": lambda: client.link(directory.reader, "a", things.file),
                "a verifier that reads": lambda: client.read(mutable.verifier or wrong),
                "a mutable child of an immutable directory": lambda: client.mkdir_immutable(
                    {"a": mutable}
                ),
            },
            "bad arguments",
        )
        self.assert_no_leaks()

    async def test_of_the_wrong_value(self) -> None:
        things, client = await self.new_things(), self.client
        directory, mutable = things.directory, things.mutable
        await self.attempt_all(
            {
                "an offset beyond the end": lambda: client.write_at(mutable, b"x", 10**6),
                "a negative offset": lambda: client.read(things.file, -1),
                "a surrogate": lambda: client.link(directory, "\udc80", mutable),
                "a missing name": lambda: client.child(directory, "missing"),
                "a taken name": lambda: client.link(directory, "file", mutable),
                "a file as the root of a tree": _called(lambda: Tree(client, mutable)),
            },
            "bad arguments",
        )
        self.assert_no_leaks()

    async def test_of_a_str_that_is_a_cap(self) -> None:
        things, client = await self.new_things(), self.client
        text: Any = str(things.directory)
        await self.attempt_for_messages(
            {
                "a str as a directory": lambda: client.list(text),
                "a str as a file": lambda: client.read(text),
                "a str as a child": lambda: client.link(things.directory, "a", text),
                "a cap as a name": lambda: client.child(things.directory, text),
                "a cap as a path": lambda: Tree(client, things.root).resolve([text]),
                "a cap as a gateway": _called(lambda: Transport(reactor, text)),
                "a cap as a host": _called(lambda: Transport(reactor, f"http://{text}/")),
            }
        )
        self.assert_no_leaks()

    async def test_of_a_cap_that_is_none(self) -> None:
        text = str(new_cap())
        attempts = {
            "a cap that is cut short": lambda: Cap.parse(text[:-9]),
            "a cap with more behind it": lambda: Cap.parse(f"{text}:5"),
            "a cap with a promise it breaks": lambda: Cap.parse(f"imm.{text}"),
            "a verifier that is to read": lambda: new_cap("SSK-Verifier").reader,
        }
        for name, attempt in attempts.items():
            await self.attempt(_called(attempt), name)
        self.assert_no_leaks()


def _called(function: Callable[[], Any]) -> Operation:
    async def called() -> Any:
        return function()

    return called


class Values(SecretsTestCase):
    """Values in variables of applications: error pages show their reprs."""

    async def test_values_show_no_cap(self) -> None:
        things = await self.new_things()
        client, transport = self.client, self.client._transport
        tree = Tree(client, things.root)
        download = await client.download(things.file)
        await download.read()
        await tree.list("directory")
        walk = await client.manifest(things.root)
        await anext(walk)
        for value in (
            *(client, transport, tree, download, walk, Gateways([transport])),  # type: ignore[list-item]
            *(things.file, [things.file], {"a": things.directory}, things),
            BytesSource(str(things.file).encode()),
            await tree.resolve("directory/mutable"),
        ):
            self.collector.value(value, "value")
            self.collector.text(f"{value}" if isinstance(value, Cap) else "", "formatted")
        walk.close()
        download.close()
        await pause(0.2)
        self.assert_no_leaks()
