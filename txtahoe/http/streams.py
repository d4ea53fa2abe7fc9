"""Bodies of requests and answers as streams, with back-pressure both ways."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer, IResponse
from zope.interface import implementer

from txtahoe.errors import AnswerLost, RequestTimeout, TahoeError
from txtahoe.http.deadline import Deadline
from txtahoe.http.sources import ISource, bytes_of
from txtahoe.sealing import sealed_async

# Received bytes that may wait for their reader. If there are more, the gateway must pause.
_HIGH_WATER = 2**20
# The slowest rate, in bytes a second, at which a body may come.
_SLOWEST = 2**10


@implementer(IPushProducer)
class Flow:
    """A producer's side of back-pressure: `ready` waits while its consumer wants no more."""

    def __init__(self) -> None:
        self._paused: list[Deferred[None]] | None = None
        self._stopped = False

    async def ready(self) -> None:
        """Raises: CancelledError once the consumer has gone."""
        if self._paused is not None:
            # A Deferred for each caller: to cancel one must not wake the others.
            waiting: Deferred[None] = Deferred()
            self._paused.append(waiting)
            await waiting
        if self._stopped:
            raise CancelledError

    def pauseProducing(self) -> None:
        if self._paused is None:
            self._paused = []

    def resumeProducing(self) -> None:
        paused, self._paused = self._paused, None
        for waiting in paused or ():
            waiting.callback(None)  # one that was cancelled ignores it

    def stopProducing(self) -> None:
        self._stopped = True
        self.resumeProducing()


@implementer(IBodyProducer)
class Outgoing(Flow):
    """
    The body of a request, sent as fast as the gateway takes it: one pass over a source.

    `sent` is called with the number of bytes after each block that went out. `failure` keeps an
    error of the source or of `sent`, because Twisted wraps an error of a producer.
    `is_asking`: whether this has asked the source for a block that it has not given.
    """

    def __init__(self, source: ISource, sent: Callable[[int], None]) -> None:
        super().__init__()
        self.length = UNKNOWN_LENGTH if source.length is None else source.length
        self.failure: Exception | None = None
        self.is_asking = False
        self._source = source
        self._sent = sent
        self._pass: Deferred[None] | None = None
        self._over: Deferred[None] = Deferred()

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        done: Deferred[None] = Deferred(lambda _: self.stopProducing())

        def failed(failure: Failure) -> None:
            if isinstance(failure.value, Exception) and not failure.check(CancelledError):
                self.failure = failure.value
            if not self._stopped:
                done.errback(failure)

        self._pass = Deferred.fromCoroutine(self._send(consumer))
        self._pass.addCallbacks(done.callback, failed).chainDeferred(self._over)
        return done

    def stopProducing(self) -> None:
        # IBodyProducer: the Deferred of startProducing does not fire after this.
        if not self._stopped:
            self._stopped = True
            if self._pass is not None:
                self._pass.cancel()

    async def end(self) -> None:
        """Stop. When this returns, nothing reads from the source any more."""
        self.stopProducing()
        if self._pass is not None:
            await self._over

    async def _send(self, consumer: IConsumer) -> None:
        length, count = self._source.length, 0
        chunks = self._source.chunks()
        try:
            self.is_asking = True
            async for chunk in chunks:
                self.is_asking = False
                block = bytes_of(chunk)
                count += len(block)
                if length is not None and count > length:
                    break
                if block:
                    consumer.write(block)
                    self._sent(len(block))
                    await self.ready()
                self.is_asking = True
            self.is_asking = False
            if length is not None and count != length:
                raise ValueError(
                    f"the source of an upload has a length of {length} bytes, but gave {count}"
                )
        finally:
            if hasattr(chunks, "aclose"):
                await chunks.aclose()


class Incoming(Protocol):
    """
    The answer to a request: its head at once, its body as it comes in.

    `seconds`: how long the body may stop for. `failed` is called with the error of a body that
    breaks off, or comes too slowly, before its reader is told. `received`: bytes so far.
    """

    def __init__(
        self, reactor: IReactorTime, seconds: float, doing: str, answer: IResponse
    ) -> None:
        self.reactor = reactor
        self.seconds = seconds
        self.failed: Callable[[TahoeError], None] = lambda error: None
        self.status: int = answer.code
        self.headers: Headers = answer.headers
        self.length: int | None = None if answer.length is UNKNOWN_LENGTH else answer.length
        self.received = 0
        self._ended: Callable[[Exception | None], None] = lambda error: None
        self._doing = doing
        self._chunks: list[bytes] = []
        self._waiting_bytes = 0
        self._waited = 0.0
        self._paused = False
        self._reader: Deferred[None] | None = None
        self._end: Failure | None = None
        answer.deliverBody(self)

    def header(self, name: str) -> str:
        """A header of the answer; the empty string if it has none."""
        return str(self.headers.getRawHeaders(name, [""])[0])

    async def read(self, seconds: float | None = None) -> bytes:
        """
        The bytes that have come in since the last call, at least one; b"" at the end.

        `seconds`: how long to wait for them, in place of all other bounds.

        Raises: AnswerLost if the body broke off; RequestTimeout if nothing came in time, or if the
        whole body comes too slowly.
        """
        if not self._chunks and self._end is None:
            await (self._come() if seconds is None else self._come_within(seconds))
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._waiting_bytes = 0
        if self._paused:
            self._paused = False
            self._producer.resumeProducing()
        if not data and self._loss is not None:
            raise self.told(self._loss)
        return data

    @sealed_async
    async def rest(self, most: int) -> bytes:
        """All that is still to come, cut at about `most` bytes. Raises: as `read`."""
        gathered = BytesIO()  # gives its contents without a copy
        try:
            while gathered.tell() < most and (chunk := await self.read()):
                gathered.write(chunk)
        except Exception as error:
            self._ended(error)
            raise
        finally:
            self.abandon()
        return gathered.getvalue()

    def when_ended(self, ended: Callable[[Exception | None], None]) -> None:
        """
        Call a function when the body has ended, with its error if it has one, or when nobody wants
        more of it. The function may be called again later.
        """
        self._ended = ended
        if self._end is not None:
            ended(self._loss)

    def abandon(self, error: TahoeError | None = None) -> None:
        """Want no more of it, perhaps for an error; an unfinished body costs the connection."""
        self._ended(error)
        self._chunks.clear()
        if self._end is None:
            # The collector of garbage may have closed the socket of an answer that was paused, and
            # dropped by its reader. Then the reactor has no such socket: epoll says so by an
            # OSError if the connection still knows its number.
            with suppress(ValueError, OSError):
                self._producer.stopProducing()

    @property
    def _producer(self) -> IPushProducer:
        return cast(IPushProducer, self.transport)

    async def _come(self) -> None:
        # Time counts only while it is spent here: the reader may be as slow as it likes.
        left = self.seconds + self.received / _SLOWEST - self._waited
        began = self.reactor.seconds()
        try:
            await self._come_within(max(0.0, min(left, self.seconds)))
        except RequestTimeout as silent:
            slow = f"{self._doing}: the answer comes at less than {_SLOWEST} bytes a second"
            raise self.told(silent if left >= self.seconds else RequestTimeout(slow)) from None
        finally:
            self._waited += self.reactor.seconds() - began

    async def _come_within(self, seconds: float) -> None:
        reader: Deferred[None] = Deferred()
        self._reader = reader
        try:
            await Deadline(self.reactor, seconds, self._doing).guard(reader)
        finally:
            self._reader = None

    def told(self, error: TahoeError) -> TahoeError:
        """Report an error of the body, which its reader raises then; return the error."""
        self.failed(error)
        self._ended(error)
        return error

    @property
    def _loss(self) -> TahoeError | None:
        """The error of a body that has ended too early."""
        # An answer without a length ends when the connection does: PotentialDataLoss.
        if self._end and self._end.check(ResponseDone, PotentialDataLoss):
            return None
        return AnswerLost(f"{self._doing}: the answer broke off")

    def dataReceived(self, data: bytes) -> None:
        self._chunks.append(data)
        self.received += len(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= _HIGH_WATER and not self._paused:
            self._paused = True
            self._producer.pauseProducing()
        # With the last byte the end comes too, in this same turn of the reactor. The end wakes the
        # reader: the connection is back in the pool by then, and not cut off.
        if self.received != self.length:
            self._wake()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._end = reason
        self._ended(self._loss)
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.called:
            self._reader.callback(None)
