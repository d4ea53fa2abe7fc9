"""The sources of the bytes of uploads."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from threading import main_thread
from typing import Any, BinaryIO, Protocol, TypeVar

from attrs import field, frozen
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool
from zope.interface import Attribute, Interface, implementer

T = TypeVar("T")
# Runs a blocking function outside of the reactor thread.
InThread = Callable[[Callable[[], T]], Awaitable[T]]

# Bytes read from a blocking source at a time: one change of threads for each.
_BLOCK = 2**18


class ISource(Interface):
    """The source of an upload's bytes."""

    length = Attribute("How many bytes; None if the source does not know it beforehand.")
    repeatable = Attribute("Whether a caller may call `chunks` again, to begin anew.")

    def chunks() -> AsyncIterator[bytes | bytearray | memoryview]:
        """The bytes, from the start. An iterator that has `aclose` is closed before its end too."""


class Source(Protocol):
    """ISource for type checkers: they know interfaces of zope only by a plugin, mypy-zope."""

    @property
    def length(self) -> int | None: ...
    @property
    def repeatable(self) -> bool: ...
    def chunks(self) -> AsyncIterator[bytes | bytearray | memoryview]: ...


class SourceFailed(Exception):
    """
    Carries an error of an upload's source, or of the upload's `sent`, to `BaseTransport.ask`, which
    raises the error itself. It is no TahoeError: nobody repeats it or blames a gateway for it.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def bytes_of(block: object) -> bytes:
    """A block of a source as bytes. Raises: TypeError if it is something else."""
    if isinstance(block, bytes | bytearray | memoryview):
        return bytes(block)
    raise TypeError(
        f"the source of an upload must give bytes, not {type(block).__name__}; "
        "a file must be opened in binary mode ('rb')"
    )


def require_more(chunks: T) -> T:
    """
    The iterator of a source. Raises: ValueError for a generator that is over: an upload of one that
    was read before would be an empty file.
    """
    if any(getattr(chunks, frame, chunks) is None for frame in ("ag_frame", "gi_frame")):
        raise ValueError("the source of an upload is a generator that is over: make another one")
    return chunks


@implementer(ISource)
@frozen
class BytesSource:
    """An upload from memory."""

    data: bytes = field(repr=False)
    repeatable = True

    @property
    def length(self) -> int:
        """The number of bytes."""
        return len(self.data)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes, in blocks of 256 KiB."""
        for start in range(0, len(self.data), _BLOCK):
            yield self.data[start : start + _BLOCK]


@implementer(ISource)
@frozen
class IteratorSource:
    """An upload from an asynchronous iterable of bytes; it can be read once."""

    iterable: AsyncIterable[bytes]
    length = None
    repeatable = False

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes, as the iterable gives them. Raises: ValueError for one that is over."""
        return require_more(aiter(self.iterable))


@implementer(ISource)
@frozen
class BlockingSource:
    """
    An upload from something that blocks.

    `iterate`: begins an iteration over bytes, or over str, which this sends as UTF-8.
    `in_thread`: runs a function in a thread that may block. All code of the source runs there. If
    a call is cancelled, it must be over then, or come before all later calls; see `in_threads`.
    `repeatable`: whether `iterate` can be called again to begin anew.
    """

    iterate: Callable[[], Iterable[bytes | str]]
    in_thread: InThread[Any]
    repeatable: bool = False
    length = None

    async def chunks(self) -> AsyncIterator[bytes]:
        """
        The bytes, in blocks of about 256 KiB.

        Raises: as `iterate`; TypeError for no bytes; ValueError for a generator that is over.
        """
        chunks = await self.in_thread(lambda: require_more(iter(self.iterate())))
        while block := await self.in_thread(lambda: gather(chunks, _BLOCK)):
            yield block


def gather(chunks: Iterator[bytes | str], least: int) -> bytes:
    """The next chunks, joined, until they are `least` bytes or the end has come."""
    gathered: list[bytes] = []
    for chunk in chunks:
        data = chunk.encode() if isinstance(chunk, str) else bytes_of(chunk)
        gathered.append(data)
        least -= len(data)
        if least <= 0:
            break
    return b"".join(gathered)


def file_source(file: BinaryIO, reactor: Any) -> BlockingSource:
    """A file from its position to its end; it stays open. Raises: OSError from the file."""
    start = file.tell() if file.seekable() else None

    def iterate() -> Iterator[bytes]:
        if start is not None:
            file.seek(start)
        while block := bytes_of(file.read(_BLOCK)):
            yield block

    return BlockingSource(iterate, in_threads(reactor), repeatable=start is not None)


def in_threads(reactor: Any, pool: ThreadPool | None = None) -> InThread[Any]:
    """
    Runs functions in the reactor's threads, or in those of another `pool`; at once if the reactor
    has none, as `task.Clock`, or if the process ends, when no thread can be started any more.

    Nothing stops a function in a thread: a caller that is cancelled goes on when it is over.
    """
    if not hasattr(reactor, "getThreadPool"):
        return maybeDeferred

    async def run(function: Callable[[], T]) -> T:
        if not main_thread().is_alive():
            return function()
        over: Deferred[None] = Deferred()

        def work() -> T:
            try:
                return function()
            finally:
                reactor.callFromThread(over.callback, None)

        try:
            return await deferToThreadPool(reactor, pool or reactor.getThreadPool(), work)
        except CancelledError:
            await over
            raise

    return run
