"""The state of a storage now, for probes, dashboards and `manage.py tahoe status`."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from time import monotonic, time
from typing import Any, Literal

from attrs import evolve, frozen

from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.conf import Connection, address
from tahoestorage.reactor.waiting import Caller, done, in_reactor, unblocked
from tahoestorage.storage import TahoeStorage, storage_of
from txtahoe.api.client import Client
from txtahoe.caps import Cap, redact
from txtahoe.concurrency import all_of
from txtahoe.errors import (
    IncompleteDownload,
    NotAuthorized,
    NotSecure,
    TahoeError,
    Unrecoverable,
)
from txtahoe.http.deadline import Deadline
from txtahoe.http.failover import Gateways
from txtahoe.http.transport import Transport
from txtahoe.maintenance.writer import HANDED_OVER, writer_of
from txtahoe.nodes import GatewayStatus
from txtahoe.spool import Spool, Summary
from txtahoe.tree.tree import Tree

PROBE = b"Can files be saved? django-tahoestorage asks by uploading these bytes, and reading them."
"""
Always the same bytes, so that all probes through a gateway make one file. Up to 55 bytes,
Tahoe-LAFS would put them into the cap, without asking the grid.
"""

OLDEST = 1, 16
"""The oldest release of tahoe-lafs whose gateway passes the contract suite."""

Kind = Literal[
    "gateway",
    "security",
    "authorization",
    "release",
    "servers",
    "reading",
    "shares",
    "saving",
    "spool",
]
_LATE = 3600.0  # seconds after which a file should have left the spool


@frozen
class Problem:
    """
    A problem at the gateway at `url`; `str()` describes it, without caps.

    `kind`: the gateway does not answer, or is none ("gateway"); there is no secure connection to
    it; a server before it refuses this client; it is of an older release than OLDEST; it is not
    connected to all storage servers that it knows; the root directory cannot be read; it misses
    shares; nothing can be saved; files are in the spool of this host for long, or cannot be saved.
    For the last one, `url` is the path of the spool.
    """

    url: str
    kind: Kind
    text: str

    def __str__(self) -> str:
        return self.text if self.url.rstrip("/") in self.text else f"{self.url}: {self.text}"


@frozen
class GatewayHealth:
    """
    The state of a gateway now. A value is None if its question failed.

    `is_reader`: whether files are read through it. `is_writer`: whether it makes the changes of
    directories. `version`: its release of tahoe-lafs, such as "1.20.0", if it says so.
    `connected`, `known`: numbers of storage servers. The seconds last until its own
    answer, that about the root directory, and the end of a test upload that is read back.
    """

    url: str
    is_reader: bool = True
    is_writer: bool = True
    version: str | None = None
    connected: int | None = None
    known: int | None = None
    seconds: float | None = None
    read_seconds: float | None = None
    write_seconds: float | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def is_reachable(self) -> bool:
        return self.seconds is not None


@frozen
class StorageHealth:
    """
    The state of a storage now, through each of its gateways.

    `is_writable`: whether its cap lets it write. `needs_writer`: whether a save takes the gateway
    that makes all changes. `spool`: what is in the spool of this host, if there is one.
    """

    gateways: tuple[GatewayHealth, ...]
    is_writable: bool = True
    needs_writer: bool = True
    spool: Summary | None = None
    spool_problems: tuple[Problem, ...] = ()

    @property
    def is_ok(self) -> bool:
        """Whether files can be read, and saved if the storage's cap lets it write."""
        can_write = self.write_seconds is not None or not self.is_writable
        return self.read_seconds is not None and can_write

    @property
    def read_seconds(self) -> float | None:
        """The value of the first gateway through which files can be read."""
        return _first(gateway.read_seconds for gateway in self.gateways if gateway.is_reader)

    @property
    def write_seconds(self) -> float | None:
        """The value of the gateway that makes all changes, or of the first that can save files."""
        return _first(
            gateway.write_seconds
            for gateway in self.gateways
            if (gateway.is_writer if self.needs_writer else gateway.is_reader)
        )

    @property
    def problems(self) -> tuple[Problem, ...]:
        """
        The problems of all gateways, and of the spool. Some do not keep files from being read and
        saved.
        """
        of_gateways = (problem for gateway in self.gateways for problem in gateway.problems)
        return (*of_gateways, *self.spool_problems)


def _first(every: Iterable[float | None]) -> float | None:
    return next((seconds for seconds in every if seconds is not None), None)


def health(storage: str | TahoeStorage = "default", *, timeout: float = 5.0) -> StorageHealth:
    """
    Examine a storage, given by its alias or itself. `timeout`: seconds that it can take.

    Each gateway gets four questions at once: its status; its release; the shares of the root
    directory; and the upload of PROBE, which is read back. No directory is changed, and nothing
    that the storage knows is used. If hosts have a common writer, the tree is asked first which
    gateway that is now, for half of the time at most.

    Raises: ImproperlyConfigured if there is no such storage, or a setting is missing or wrong. A
    gateway or a grid that is away is a result and no error.
    """
    return done(_health(storage, timeout))


async def ahealth(
    storage: str | TahoeStorage = "default", *, timeout: float = 5.0
) -> StorageHealth:
    """As `health`, for asyncio."""
    return await _health(storage, timeout)


async def _health(storage: str | TahoeStorage, timeout: float) -> StorageHealth:
    storage = storage if isinstance(storage, TahoeStorage) else storage_of(storage)
    connection = storage.connection

    async def ask(caller: Caller) -> StorageHealth:
        reactor, seconds = caller.loop.reactor, timeout
        writer: str | None = connection.writer
        if connection.has_common_writer:
            seconds = timeout / 2
            writer = await _writer_now(reactor, seconds, connection)
        return await examine_storage(reactor, seconds, connection, writer)

    found = await in_reactor(ask)
    found = evolve(found, needs_writer=not isinstance(storage, TahoeCapStorage))
    spool = connection.spool
    return found if spool is None else await unblocked(lambda: _with_spool(found, spool))


def _with_spool(found: StorageHealth, spool: Spool) -> StorageHealth:
    summary, texts = Summary(), []
    try:
        summary = spool.summary()
    except OSError as error:
        texts.append(f"the spool cannot be used: {error}")
    if summary.aside:
        problem = next(iter(summary.aside.values()))
        texts.append(f"files in the spool that cannot be saved: {len(summary.aside)}; {problem}")
    elif summary.oldest is not None and time() - summary.oldest > _LATE:
        texts.append(f"files that are in the spool for long: {summary.files}; {summary.problem}")
    problems = tuple(Problem(str(spool.above), "spool", text) for text in texts)
    return evolve(found, spool=summary, spool_problems=problems)


async def _writer_now(reactor: Any, timeout: float, connection: Connection) -> str | None:
    client = client_of(reactor, timeout, connection)
    try:
        asking = partial(writer_of, Tree(client, connection.base_cap))
        told = (await _answer(reactor, timeout, asking)).result
    finally:
        await client.close()
    return connection.writer if told is None else told.url and address(told.url)


def _connecting(reactor: Any, timeout: float, connection: Connection) -> Callable[[str], Transport]:
    """Makes a Transport to a URL, which repeats no request."""
    security = connection.security
    return partial(Transport, reactor, timeout=timeout, pauses=(), security=security)


def client_of(reactor: Any, timeout: float, connection: Connection) -> Client:
    """A client of all gateways, which repeats no request."""
    connect = _connecting(reactor, timeout, connection)
    return Client(Gateways(list(map(connect, connection.gateways))))


async def examine_storage(
    reactor: Any, timeout: float, connection: Connection, writer: str | None
) -> StorageHealth:
    """As `health`, in the reactor thread. `writer`: None while nobody makes changes."""
    readers, root = connection.gateways, connection.base_cap
    connect = _connecting(reactor, timeout, connection)

    async def examine(url: str) -> GatewayHealth:
        found = await _examine_gateway(timeout, root, connect(url))
        return evolve(found, is_reader=url in readers, is_writer=url == writer)

    urls = list(dict.fromkeys(url for url in (*readers, writer) if url is not None))
    first, *others = await all_of(urls, examine, len(urls))
    if writer is None:
        problem = Problem(first.url, "saving", f"no directory can be changed: {HANDED_OVER}")
        first = evolve(first, problems=(*first.problems, problem))
    return StorageHealth((first, *others), root.is_writable)


async def _examine_gateway(timeout: float, root: Cap, transport: Transport) -> GatewayHealth:
    client = Client(transport)
    questions = [client.status, client.version, partial(_check_root, client, root)]
    if root.is_writable:
        questions.append(partial(_write_and_read, client))
    try:
        asking = partial(_answer, transport.reactor, timeout)
        answers = await all_of(questions, asking, len(questions))
    finally:
        await client.close()
    return _judge(redact(address(transport.gateway.to_text())), *answers)


async def _check_root(client: Client, root: Cap) -> str | None:
    report = await client.check(root)
    if not report.is_recoverable:
        raise Unrecoverable(f"too few shares of it are within reach: {report.summary}")
    return None if report.is_healthy else f"the root directory misses shares: {report.summary}"


async def _write_and_read(client: Client) -> None:
    if await client.read(await client.upload(PROBE)) != PROBE:
        raise IncompleteDownload("the uploaded bytes came back as something else")


@frozen
class _Answer:
    result: Any = None
    seconds: float | None = None
    failure: TahoeError | None = None


async def _answer(reactor: Any, timeout: float, question: Callable[[], Awaitable[Any]]) -> _Answer:
    async def ask() -> Any:
        return await question()

    began = monotonic()
    try:
        result = await Deadline(reactor, timeout, "asking for its health").guard(ask())
    except TahoeError as error:
        return _Answer(failure=error)
    return _Answer(result, monotonic() - began)


_KINDS: dict[type[TahoeError], Kind] = {NotSecure: "security", NotAuthorized: "authorization"}


def _is_old(version: str) -> bool:
    return tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST


def _judge(
    url: str, status: _Answer, release: _Answer, root: _Answer, write: _Answer = _Answer()
) -> GatewayHealth:
    if status.failure is not None:
        kind = _KINDS.get(type(status.failure), "gateway")
        return GatewayHealth(url, problems=(Problem(url, kind, str(status.failure)),))
    told: GatewayStatus = status.result
    away = [repr(server.nickname) for server in told.servers if not server.connected]
    problems: list[tuple[Kind, str]] = []
    if not told.servers:
        problems.append(("servers", "it knows no storage server"))
    elif away:
        counts = f"{told.connected} of the {len(told.servers)} storage servers that it knows"
        problems.append(("servers", f"it is connected to {counts}, and not to {', '.join(away)}"))
    if root.failure is not None:
        problems.append(("reading", f"the root directory can't be read: {root.failure}"))
    if root.result is not None and not problems:  # else the shares come back with the servers
        problems.append(("shares", root.result))
    if release.result is not None and _is_old(release.result):
        oldest = ".".join(map(str, OLDEST))
        text = f"it runs tahoe-lafs {release.result}; the oldest release that was tried is {oldest}"
        problems.append(("release", text))
    if write.failure is not None:
        problems.append(("saving", f"nothing can be saved: {write.failure}"))
    return GatewayHealth(
        url=url,
        version=release.result,
        connected=told.connected,
        known=len(told.servers),
        seconds=status.seconds,
        read_seconds=root.seconds,
        write_seconds=write.seconds,
        problems=tuple(Problem(url, kind, text) for kind, text in problems),
    )
