"""Downloads, which hand out no byte that the gateway has not verified."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, suppress
from errno import EAGAIN
from functools import partial
from io import RawIOBase
from itertools import count
from typing import Any, BinaryIO, Protocol

from twisted.internet.defer import CancelledError

from txtahoe.api.keeping import KeptDownload
from txtahoe.caps import Cap
from txtahoe.errors import IncompleteDownload, NotAGateway, TahoeError
from txtahoe.http.request import BaseTransport, Request
from txtahoe.http.sources import in_threads
from txtahoe.http.streams import Flow, Incoming

# The gateway writes this into a body when a download fails midway, see Tahoe-LAFS's
# `allmydata.web.filenode.FileDownloader`. It is cut where the announced length ends.
_END_MARKER = b"problem during download\n"
# After a whole marker the gateway says nothing more. Seconds of silence that prove one.
_MARKER_SILENCE = 2.0
# The seconds before each attempt to resume a download, if the last one gave no new byte.
_RESUME_PAUSES = (0.5, 1.5)


class Consumer(Protocol):
    """IConsumer of Twisted, for type checkers: they know interfaces only by mypy-zope."""

    def registerProducer(self, producer: Any, streaming: bool) -> object: ...
    def unregisterProducer(self) -> object: ...
    def write(self, data: bytes) -> object: ...


class Download(AsyncIterator[bytes], AbstractAsyncContextManager["Download"]):
    """
    The bytes from `offset` up to `end` of a file of `size` bytes, as an asynchronous iterator.

    It never hands out a byte that the gateway did not vouch for. If the end of an answer looks like
    the marker of a failed download, it holds these bytes back and asks for them again, in a request
    of its own: a failure before the first byte of an answer is an HTTP error, so a marker that an
    answer begins with belongs to the file. If an answer breaks off, another one goes on, but not
    for a mutable file, which may have changed.

    Memory is bounded: the gateway must pause while 1 MiB waits for the reader. An `async with`
    block closes the download at its end.

    `keeping`: the content cache into which the bytes go; those that it has are not asked for.
    """

    def __init__(
        self,
        transport: BaseTransport,
        cap: Cap,
        offset: int,
        end: int,
        size: int,
        keeping: KeptDownload | None = None,
    ) -> None:
        self._transport = transport
        self._keeping = keeping
        self.cap = cap
        self.position = offset
        """The offset in the file of the byte that `read` gives next."""
        self._start = self._answer_start = offset
        self._end = end
        self._size = size
        self._doing = f"downloading {cap!r}"
        self._answer: Incoming | None = None
        self._held = b""
        self._doubted = b""
        self._attempts = count()

    @property
    def left(self) -> int:
        """How many bytes are still to come."""
        return self._end - self.position

    def narrow(self, start: int, stop: int) -> None:
        """
        Leave out all but these of the coming bytes.

        Raises: ValueError if any were read, or for bytes that are not among them.
        """
        if self.position > self._start:
            raise ValueError(f"{self._doing}: bytes of it were read already")
        if not 0 <= start <= stop <= self.left:
            there = f"the {self.left} bytes that are to come"
            raise ValueError(f"{self._doing}: {start} to {stop} is no part of {there}")
        self._end = self.position + stop
        self._start = self.position = self.position + start

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def __anext__(self) -> bytes:
        data = await self.read()
        if not data:
            raise StopAsyncIteration
        return data

    async def read(self) -> bytes:
        """
        The next verified bytes, at least one; b"" at the end.

        Raises: Unrecoverable if the grid lacks the shares; GatewayUnreachable, AnswerLost or
        RequestTimeout if the gateway is away; IncompleteDownload if a mutable file can't be read
        on. A later call tries again from the same place.
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

    async def write_to(self, consumer: Consumer) -> None:
        """
        Write all that is still to come to a consumer, such as a request of twisted.web, no faster
        than it takes it. To answer a request with a file, use `txtahoe.serve`.

        Raises: as `read`; CancelledError if the consumer goes away.
        """
        async with self:
            # A request of twisted.web whose client has gone has no channel any more.
            if getattr(consumer, "channel", self) is None:
                raise CancelledError
            flow = Flow()
            consumer.registerProducer(flow, True)
            try:
                async for chunk in self:
                    await flow.ready()
                    consumer.write(chunk)
            finally:
                with suppress(AttributeError):  # it may have gone by now
                    consumer.unregisterProducer()

    async def save(self, file: BinaryIO) -> None:
        """Write the rest to a file, in threads; it stays open. Raises: as `read`; OSError."""
        in_thread = in_threads(self._transport.reactor)
        async with self:
            async for chunk in self:
                await in_thread(partial(_write_all, file, chunk))

    def close(self) -> None:
        """Want no more for now; ends the request that is under way."""
        if self._answer is not None:
            self._answer.abandon()
        self._answer, self._held = None, b""

    async def _next(self) -> bytes:
        if self._keeping is not None and self._answer is None and self.left:
            data = await self._keeping.read(self.position, self.left)
            if data:
                self.position += len(data)
                return data
        pauses = iter(_RESUME_PAUSES)
        while self.left > 0:
            try:
                data = await self._verified()
            except TahoeError as error:
                pause = next(pauses, None)
                if pause is None or not error.transient:
                    raise
                self.close()
                await self._transport.pause(pause, error)
                continue
            if data:
                if self._keeping is not None:
                    await self._keeping.keep(self.position, data, is_last=len(data) == self.left)
                self.position += len(data)
                return data
        return b""

    async def _verified(self) -> bytes:
        """The next sure bytes; b"" if another answer is needed to be sure of them."""
        if self.cap.literal is not None:
            return self.cap.literal[self.position : self._end]
        if self._answer is None:
            self._answer = await self._open()
            self._answer_start = self.position
        is_genuine = self._answer_start == self.position
        patience = _MARKER_SILENCE if self._held == _END_MARKER and not is_genuine else None
        try:
            data = await self._answer.read(patience)
        except TimeoutError:
            if patience is None:
                raise
            data = b""
        if data:
            data = self._held + data
            sure = len(data) - _marker_length(data)
            self._held = data[sure:]
        else:  # the answer is over
            data, sure = self._held, len(self._held) if is_genuine else 0
            self.close()
            if not is_genuine:
                self._doubted = data
        # All bytes that are asked for again were doubted: they are sure at the end alone.
        if sure and self.cap.is_mutable and self._doubted and data != self._doubted:
            raise self._not_pieced_together()
        return data[:sure]

    def _not_pieced_together(self) -> IncompleteDownload:
        return IncompleteDownload(
            f"{self._doing}: it broke off, or the file has changed; a file that can change is not "
            "pieced together. Read it again from its start"
        )

    async def _open(self) -> Incoming:
        if self.cap.is_mutable and self.position > self._start and not self._doubted:
            raise self._not_pieced_together()
        whole = self.position == 0 and self._end == self._size
        asked = f"{self.position}-{self._end - 1}"
        headers = {} if whole else {"Range": f"bytes={asked}"}
        request = Request(
            "download",
            "GET",
            ["uri", self.cap],
            doing=self._doing,
            headers=headers,
            attempts=self._attempts,
        )
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
    """The number of bytes at the end of `data` with which the marker of a failure may begin."""
    # "p" stands in the marker once, at its start: no other place can begin one.
    start = data.rfind(b"p", -len(_END_MARKER))
    return len(data) - start if start >= 0 and _END_MARKER.startswith(data[start:]) else 0


def _write_all(file: BinaryIO, data: bytes) -> None:
    while data:
        written: int | None = file.write(data)
        if written is None and isinstance(file, RawIOBase):  # as `io` says: it has taken nothing
            raise BlockingIOError(EAGAIN, "the file takes no bytes now: give one that blocks")
        # A file without a buffer may take a part; others, which say nothing, have taken all.
        data = b"" if written is None else data[written:]
