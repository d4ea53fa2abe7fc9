"""Bytes in and out: the sources of uploads, and downloads that hand out no unverified byte."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, BinaryIO, Self, TypeVar

from attrs import field, frozen
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IConsumer
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from zope.interface import implementer

from txtahoe.caps import Cap
from txtahoe.errors import IncompleteDownload, NotAGateway, TahoeError
from txtahoe.requests import Request, Requests
from txtahoe.streams import Flow, Incoming, ISource, bytes_of

T = TypeVar("T")
# Runs a blocking function elsewhere than in the reactor thread.
InThread = Callable[[Callable[[], T]], Awaitable[T]]

# Bytes read from a blocking source at a time: one change of threads for each.
_BLOCK = 2**18

# What the gateway writes into a body when a download fails midway, see Tahoe-LAFS's
# `allmydata.web.filenode.FileDownloader`. It is cut where the announced length ends.
_END_MARKER = b"problem during download\n"
# After a whole marker the gateway says nothing more. Seconds until that is taken for granted.
_MARKER_SILENCE = 2.0
# How often in a row a download is resumed without a single new byte, and the seconds before.
_RESUME_PAUSES = (0.5, 1.5)


@implementer(ISource)
@frozen
class BytesSource:
    """An upload from memory."""

    data: bytes = field(repr=False)
    repeatable = True

    @property
    def length(self) -> int:
        return len(self.data)

    async def chunks(self) -> AsyncIterator[bytes]:
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
        return aiter(self.iterable)


@implementer(ISource)
@frozen
class BlockingSource:
    """
    An upload from something that blocks.

    `iterate`: begins an iteration over bytes, or over str, which is sent as UTF-8.
    `in_thread`: runs a function where blocking does no harm. Everything of the source runs there.
    A call that is cancelled must be over then, or come before all later calls; see `in_threads`.
    `repeatable`: whether `iterate` can be called again to begin anew.
    """

    iterate: Callable[[], Iterable[bytes | str]]
    in_thread: InThread[Any]
    repeatable: bool = False
    length = None

    async def chunks(self) -> AsyncIterator[bytes]:
        chunks = await self.in_thread(lambda: iter(self.iterate()))
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
    """
    An upload from a binary file object, from where it stands now to its end. It is not closed.

    Raises: OSError from the file.
    """
    start = file.tell() if file.seekable() else None

    def iterate() -> Iterator[bytes]:
        if start is not None:
            file.seek(start)
        while block := bytes_of(file.read(_BLOCK)):
            yield block

    return BlockingSource(iterate, in_threads(reactor), repeatable=start is not None)


def in_threads(reactor: Any) -> InThread[Any]:
    """
    Runs functions in the reactor's threads, or at once where it has none, as `task.Clock`.

    Nothing stops a function in a thread: a caller that is cancelled goes on when it is over.
    """
    if not hasattr(reactor, "getThreadPool"):
        return maybeDeferred

    async def run(function: Callable[[], T]) -> T:
        result: Deferred[T] = Deferred()
        over: Deferred[None] = Deferred()

        def end(outcome: T | Failure) -> None:
            result.callback(outcome)  # nobody gets it, if the caller was cancelled
            over.callback(None)

        deferToThreadPool(reactor, reactor.getThreadPool(), function).addBoth(end)
        try:
            return await result
        except CancelledError:
            await over
            raise

    return run


class Download:
    """
    The bytes from `offset` up to `end` of a file of `size` bytes, as an asynchronous iterator.

    A byte that the gateway did not vouch for is never handed out. What looks like the marker of
    a failed download at the end of an answer is held back and asked for again, in a request of
    its own: a failure before the first byte of an answer is an HTTP error, so a marker that an
    answer begins with belongs to the file. Where an answer breaks off, another one goes on, but
    for a mutable file, which may have changed.

    Memory is bounded: the gateway is asked to pause while 1 MiB waits to be read. An `async with`
    block closes the download at its end.
    """

    def __init__(
        self,
        transport: Requests,
        cap: Cap,
        offset: int,
        end: int,
        size: int,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self._transport = transport
        self._progress = progress or (lambda count: None)
        self.cap = cap
        self._start = self._position = self._answer_start = offset
        self._end = end
        self._size = size
        self._doing = f"downloading {cap!r}"
        self._answer: Incoming | None = None
        self._held = b""
        self._doubted = b""

    @property
    def position(self) -> int:
        """The offset in the file of the byte that `read` gives next."""
        return self._position

    @property
    def left(self) -> int:
        """How many bytes are still to come."""
        return self._end - self._position

    def narrow(self, start: int, stop: int) -> None:
        """
        Leave out all but the bytes from `start` up to `stop`, counted from the first one.

        Raises: ValueError where bytes were read already.
        """
        if self._position > self._start:
            raise ValueError(f"{self._doing}: bytes of it were read already")
        self._end = self._position + stop
        self._start = self._position = self._position + start

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        data = await self.read()
        if not data:
            raise StopAsyncIteration
        return data

    async def read(self) -> bytes:
        """
        The next verified bytes, at least one; b"" at the end.

        Raises: Unrecoverable where the grid lacks the shares; GatewayUnreachable, AnswerLost or
        RequestTimeout where the gateway is away; IncompleteDownload where a mutable file can't
        be read on. A later call tries again from the same place.
        """
        try:
            data = await self._next()
        except BaseException:  # cancelled, too: the request must not go on by itself
            self.close()
            raise
        if not data:
            self.close()
        return data

    async def rest(self) -> bytes:
        """All that is still to come, in memory. Raises: as `read`."""
        return b"".join([chunk async for chunk in self])

    async def write_to(self, consumer: IConsumer) -> None:
        """
        Write all that is still to come to a consumer, such as a request of twisted.web, no faster
        than it takes it. To answer a request with a file, use `txtahoe.serve`.

        Raises: as `read`; CancelledError where the consumer goes away.
        """
        flow = Flow()
        consumer.registerProducer(flow, True)
        try:
            async with self:
                async for chunk in self:
                    await flow.ready()
                    consumer.write(chunk)
        finally:
            # A request of twisted.web that is finished, or whose client has gone, has no channel.
            with suppress(AttributeError):
                consumer.unregisterProducer()

    async def save(self, file: BinaryIO) -> None:
        """
        Write all that is still to come to a file object, in threads; it is not closed.

        Raises: as `read`; OSError from the file.
        """
        in_thread = in_threads(self._transport.reactor)
        async with self:
            async for chunk in self:
                await in_thread(partial(file.write, chunk))

    def close(self) -> None:
        """Want no more for now; ends the request that is under way."""
        if self._answer is not None:
            self._answer.abandon()
        self._answer, self._held = None, b""

    async def _next(self) -> bytes:
        """The next sure bytes; b"" at the end."""
        pauses = iter(_RESUME_PAUSES)
        while self._position < self._end:
            try:
                data = await self._verified()
            except TahoeError as error:
                pause = next(pauses, None)
                if pause is None or not error.transient:
                    raise
                self.close()
                await self._transport.sleep(pause)
                continue
            if data:
                self._progress(len(data))
                self._position += len(data)
                return data
        return b""

    async def _verified(self) -> bytes:
        """The next sure bytes; b"" where it takes another answer to be sure of them."""
        if self.cap.literal is not None:
            return self.cap.literal[self._position : self._end]
        if self._answer is None:
            self._answer = await self._open()
            self._answer_start = self._position
        try:
            data = await self._answer.read(self._patience)
        except TimeoutError:
            if self._patience is None:
                raise
            data = b""
        if not data:
            return self._settle()
        data = self._held + data
        sure = len(data) - _marker_length(data)
        self._held = data[sure:]
        # The bytes that are asked for again were all doubted: they are sure at the end alone.
        if sure and self._is_another_version(data):
            raise self._not_pieced_together()
        return data[:sure]

    @property
    def _patience(self) -> float | None:
        """Seconds of silence after which a marker is taken to be one."""
        return _MARKER_SILENCE if self._held == _END_MARKER and not self._is_genuine else None

    @property
    def _is_genuine(self) -> bool:
        return self._answer_start == self._position

    def _settle(self) -> bytes:
        """The answer is over, and all that is left of it was held back."""
        held, genuine = self._held, self._is_genuine
        self.close()
        if not genuine:
            self._doubted = held
            return b""
        if self._is_another_version(held):
            raise self._not_pieced_together()
        return held

    def _is_another_version(self, data: bytes) -> bool:
        """Whether a file that can change is not what it was, by the end that is read again."""
        return self.cap.is_mutable and bool(self._doubted) and data != self._doubted

    def _not_pieced_together(self) -> IncompleteDownload:
        return IncompleteDownload(
            f"{self._doing}: it broke off, or the file has changed; a file that can change is not "
            "pieced together. Read it again from its start"
        )

    async def _open(self) -> Incoming:
        if self.cap.is_mutable and self._position > self._start and not self._doubted:
            raise self._not_pieced_together()
        whole = self._position == 0 and self._end == self._size
        asked = f"{self._position}-{self._end - 1}"
        headers = {} if whole else {"Range": f"bytes={asked}"}
        request = Request("GET", ["uri", self.cap], doing=self._doing, headers=headers)
        answer = await self._transport.open(request)
        got = answer.header("content-range")
        expected = (200, "") if whole else (206, f"bytes {asked}/{self._size}")
        is_packed = answer.header("content-encoding") not in ("", "identity")
        if (answer.status, got) == expected and answer.length == self.left and not is_packed:
            return answer
        answer.abandon()
        if self.cap.is_mutable:
            raise self._not_pieced_together()
        raise NotAGateway(f"{self._doing}: the answer is not the range of bytes that was asked for")


def _marker_length(data: bytes) -> int:
    """How many bytes at the end of `data` may be the beginning of the marker of a failure."""
    # "p" stands in the marker once, at its start: no other place can begin one.
    start = data.rfind(b"p", -len(_END_MARKER))
    return len(data) - start if start >= 0 and _END_MARKER.startswith(data[start:]) else 0
