"""The web API of one gateway: caps and bytes in, values out."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from functools import partial
from secrets import token_hex
from typing import Any, BinaryIO, Literal

from twisted.internet.threads import deferToThreadPool

from txtahoe.bodies import BytesSource, Download, IteratorSource, file_source
from txtahoe.caps import BadCap, Cap
from txtahoe.errors import (
    AnswerLost,
    ExistingChild,
    GatewayError,
    GatewayUnreachable,
    IsADirectory,
    NoSuchChild,
    NotADirectory,
    NotAGateway,
    NotEnoughServers,
    NotWriteable,
    RequestTimeout,
    TahoeError,
    UncoordinatedWrite,
    UnknownOutcome,
    Unrecoverable,
)
from txtahoe.nodes import GatewayStatus, Node, parse_children, parse_json, parse_node, parse_status
from txtahoe.streams import ISource
from txtahoe.transport import Transport

Progress = Callable[[int], None]
Replace = Literal[False, True, "only-files"]
Uploadable = bytes | bytearray | memoryview | BinaryIO | AsyncIterable[bytes] | ISource

# The key under which a link's metadata holds what tells this link from any other.
_MARK = "txtahoe-link"

# What may be answered, or left unanswered, though the directory was changed all the same.
_AMBIGUOUS = (
    AnswerLost,
    RequestTimeout,
    GatewayError,
    UncoordinatedWrite,
    Unrecoverable,
    NotEnoughServers,
    ExistingChild,
)


class Client:
    """
    The operations of Tahoe-LAFS's `docs/frontends/webapi.rst`.

    Every method raises the errors of `Transport.open`; further ones are named where they occur.
    No URL has more than one segment after a cap: a failure on a longer path may go unanswered.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def seconds(self) -> float:
        """The reactor's clock."""
        return float(self._transport.reactor.seconds())

    async def upload(self, source: Uploadable, *, progress: Progress | None = None) -> Cap:
        """
        Put the bytes of `source` on the grid as an immutable file that no directory names.

        A file object is read from where it stands, in a thread, and not closed. What can be read
        again is uploaded again after a transient error: the same bytes make the same cap.
        `progress` is called with the number of bytes after each chunk that was handed over.
        """
        body = self._source(source)
        answer = await self._transport.ask(
            "PUT", ["uri"], doing="uploading", body=body, sent=progress, repeat=body.repeatable
        )
        return _cap(answer, "uploading")

    async def download(self, cap: Cap, offset: int = 0, length: int | None = None) -> Download:
        """
        The verified bytes of a file, from `offset` on, `length` of them or up to its end.

        No byte is fetched before the first one is read.

        Raises: IsADirectory; BadCap for a cap that cannot read; ValueError for a negative number.
        """
        if offset < 0 or (length is not None and length < 0):
            raise ValueError("offset and length count bytes; they are not negative")
        size = await self.size(cap)
        end = size if length is None else min(size, offset + length)
        return Download(self._transport, cap.reader, min(offset, size), end, size)

    async def read(self, cap: Cap, offset: int = 0, length: int | None = None) -> bytes:
        """As `download`, in memory."""
        download = await self.download(cap, offset, length)
        return await download.rest()

    async def size(self, cap: Cap) -> int:
        """The size of a file in bytes; no request for an immutable one. Raises: IsADirectory."""
        if cap.is_directory:
            raise IsADirectory(f"{cap!r} is a directory, not a file")
        reader = cap.reader
        if reader.size is not None:
            return reader.size
        doing = f"asking for the size of {cap!r}"
        answer = await self._transport.repeat(
            lambda: self._transport.open("HEAD", ["uri", reader], doing=doing)
        )
        answer.abandon()
        # Not `length`: the answer to a HEAD has no body.
        length = answer.headers.getRawHeaders("content-length", [""])[0]
        if not length.isdecimal():
            raise NotAGateway(f"{doing}: the answer has no length")
        return int(length)

    async def info(self, cap: Cap) -> Node:
        """What a cap names."""
        doing = f"asking about {cap!r}"
        return parse_node(await self._json(doing, cap))

    async def list(self, directory: Cap) -> dict[str, Node]:
        """The children of a directory, by name. Raises: NotADirectory."""
        _require_directory(directory)
        return parse_children(await self._json(f"listing {directory!r}", directory))

    async def child(self, directory: Cap, name: str) -> Node:
        """One child of a directory. Raises: NoSuchChild, NotADirectory."""
        _require_directory(directory)
        return parse_node(await self._json(f"looking up a name in {directory!r}", directory, name))

    async def child_cap(self, directory: Cap, name: str) -> Cap:
        """
        The cap of one child; for a sub-directory cheaper than `child`, which has it listed.

        Raises: NoSuchChild, NotADirectory.
        """
        _require_directory(directory)
        doing = f"looking up a name in {directory!r}"
        answer = await self._transport.ask(
            "GET", ["uri", directory, name], {"t": "uri"}, doing=doing, repeat=True
        )
        return _cap(answer, doing)

    async def mkdir(self) -> Cap:
        """A new, empty directory that no other directory names; its write cap."""
        doing = "making a directory"
        answer = await self._transport.ask(
            "POST", ["uri"], {"t": "mkdir"}, doing=doing, repeat=True
        )
        return _cap(answer, doing)

    async def link(
        self,
        directory: Cap,
        name: str,
        cap: Cap,
        *,
        replace: Replace = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Give `cap` a name in a directory.

        `replace`: whether what has the name may lose it: False, "only-files", or True.

        An answer that leaves it open whether the link was made is settled by reading the directory
        back. Caps alone would not settle it, since equal files have equal caps: every link
        carries a mark of its own in its metadata.

        Raises: ExistingChild where the name is taken, be it by the same cap; NotWriteable;
        NotADirectory; UnknownOutcome where reading back failed too.
        """
        doing = f"linking a name in {directory!r}"
        mark = token_hex(6)

        def is_done(there: Node | None, failure: TahoeError) -> bool:
            if there is None or there.metadata.get(_MARK) == mark:
                return there is not None
            if not replace or (replace == "only-files" and there.is_directory):
                raise ExistingChild(f"{doing}: the name {name!r} is taken") from failure
            return False

        def request() -> Awaitable[bytes]:
            return self._transport.ask(
                "POST",
                ["uri", directory],
                {"t": "set_children", "replace": str(replace).lower()},
                doing=doing,
                body=_children({name: (cap, {**(metadata or {}), _MARK: mark})}),
            )

        await self._change(request, directory, name, is_done)

    async def unlink(self, directory: Cap, name: str, expected: Node) -> None:
        """
        Take a name out of a directory, where it names `expected`.

        A lost answer is followed by reading back, and the request made again only while the name
        still leads to `expected`: another file may have got it meanwhile.

        Raises: NoSuchChild; NotWriteable; NotADirectory; UnknownOutcome.
        """
        doing = f"unlinking a name in {directory!r}"

        def is_done(there: Node | None, failure: TahoeError) -> bool:
            return there != expected

        def request() -> Awaitable[bytes]:
            return self._transport.ask("DELETE", ["uri", directory, name], doing=doing)

        await self._change(request, directory, name, is_done)

    async def status(self) -> GatewayStatus:
        """What the gateway says of itself and of its servers."""
        doing = "asking for the gateway's status"
        answer = await self._transport.ask("GET", [""], {"t": "json"}, doing=doing, repeat=True)
        return parse_status(parse_json(answer, doing))

    async def wait_ready(self, servers: int, timeout: float) -> GatewayStatus:
        """
        Wait until the gateway is connected to at least `servers` storage servers.

        A gateway that has just started knows few or none: reads fail then, and a directory may be
        written to fewer servers than wanted, without an error.

        Raises: NotEnoughServers, or the gateway's own error, after `timeout` seconds.
        """
        deadline = self._transport.reactor.seconds() + timeout
        while True:
            try:
                status = await self.status()
                if status.connected >= servers:
                    return status
                failure: TahoeError = NotEnoughServers(
                    f"the gateway is connected to {status.connected} storage servers of the "
                    f"{servers} that are wanted, after {timeout:g} seconds"
                )
            except TahoeError as error:
                failure = error
            if self._transport.reactor.seconds() >= deadline:
                raise failure
            await self._transport.sleep(0.25)

    async def close(self) -> None:
        """Close the idle connections to the gateway."""
        await self._transport.close()

    async def _json(self, doing: str, *path: Cap | str) -> Any:
        answer = await self._transport.ask(
            "GET", ["uri", *path], {"t": "json"}, doing=doing, repeat=True
        )
        return parse_json(answer, doing)

    async def _change(
        self,
        request: Callable[[], Awaitable[bytes]],
        directory: Cap,
        name: str,
        is_done: Callable[[Node | None, TahoeError], bool],
    ) -> None:
        """Change one link; after an ambiguous answer ask `is_done` with what is there now."""
        _require_directory(directory)
        if not directory.is_writable:
            raise NotWriteable(f"{directory!r} does not give the right to write")
        for pause in (*self._transport.pauses, None):
            try:
                await request()
                return
            except GatewayUnreachable as error:
                failure: TahoeError = error
            except _AMBIGUOUS as error:
                failure = error
                if is_done(await self._read_back(directory, name, error), error):
                    return
                if isinstance(error, RequestTimeout):
                    # It is not repeated: the gateway may still be at it.
                    raise UnknownOutcome(f"{error}. It may still be done later") from error
            if pause is None:
                raise failure
            await self._transport.sleep(pause)

    async def _read_back(self, directory: Cap, name: str, failure: TahoeError) -> Node | None:
        try:
            return await self.child(directory, name)
        except NoSuchChild:
            return None
        except TahoeError as error:
            raise UnknownOutcome(
                f"{failure}. Whether it was done is not known, because reading the directory "
                f"back failed too: {error}"
            ) from error

    def _source(self, source: Uploadable) -> ISource:
        if ISource.providedBy(source):
            return source
        if isinstance(source, bytes | bytearray | memoryview):
            return BytesSource(bytes(source))
        if isinstance(source, AsyncIterable):
            return IteratorSource(source)
        if hasattr(source, "read"):
            reactor = self._transport.reactor
            return file_source(source, partial(deferToThreadPool, reactor, reactor.getThreadPool()))
        raise TypeError(
            f"cannot upload {type(source).__name__}: give bytes, a binary file object, "
            "an asynchronous iterable of bytes, or an ISource"
        )


def _children(children: Mapping[str, tuple[Cap, Mapping[str, Any]]]) -> BytesSource:
    """The body of a `set_children`, from caps and metadata by name."""
    entries = {
        name: [
            "dirnode" if cap.is_directory else "filenode",
            {"rw_uri" if cap.is_writable else "ro_uri": str(cap), "metadata": metadata},
        ]
        for name, (cap, metadata) in children.items()
    }
    return BytesSource(json.dumps(entries).encode())


def _cap(answer: bytes, doing: str) -> Cap:
    try:
        cap = Cap.parse(answer)
    except BadCap:
        cap = None
    if cap is None or not cap.is_known:
        raise NotAGateway(f"{doing}: the answer is no cap, so it is not from a Tahoe-LAFS gateway")
    return cap


def _require_directory(cap: Cap) -> None:
    if not cap.is_directory:
        raise NotADirectory(f"{cap!r} is not a directory")
