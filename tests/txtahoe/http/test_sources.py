"""Sources of uploads: their blocks, their errors, and when they are read."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock, deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed
from twisted.web.iweb import IAgent
from zope.interface import implementer

from tests.txtahoe.case import ClockTestCase, start
from txtahoe import BlockingSource, Client, Gateways, ISource, Transport
from txtahoe.errors import AnswerLost, RequestTimeout
from txtahoe.testing.fake import FakeGateway, LostAnswer

BLOCK = 2**18


@implementer(ISource)
class Source:
    """Gives blocks, and raises those that are exceptions."""

    def __init__(self, *blocks: Any, length: int | None = None, repeatable: bool = False) -> None:
        self.blocks = blocks
        self.length = length
        self.repeatable = repeatable
        self.passes = 0

    async def chunks(self) -> AsyncIterator[Any]:
        self.passes += 1
        for block in self.blocks:
            if isinstance(block, Exception):
                raise block
            yield await block if isinstance(block, Deferred) else block


async def gives(*blocks: Any) -> AsyncIterator[Any]:
    for block in blocks:
        yield block


async def at_once(function: Callable[[], Any]) -> Any:
    return function()


class SourcesTestCase(ClockTestCase):
    def failure(self, source: Any, expected: type[Exception], **options: Any) -> Any:
        """The error of an upload, which fails at once."""
        upload = start(self.client.upload(source, **options))
        return self.failureResultOf(upload, expected).value


class Blocks(SourcesTestCase):
    def test_bytes_bytearray_and_memoryview_are_sent(self) -> None:
        blocks = b"one ", bytearray(b"two "), memoryview(b"three "), memoryview(b"abcd").cast("H")
        expected = b"one two three abcd"
        for source in (
            Source(*blocks),
            Source(*blocks, length=len(expected)),
            gives(*blocks),
            BlockingSource(lambda: blocks, at_once),
        ):
            self.assertEqual(
                self.now(self.client.read(self.now(self.client.upload(source)))), expected
            )

    def test_an_empty_block_does_not_end_a_source(self) -> None:
        for source in (
            Source(b"", b"one ", b"", bytearray(), b"two", b""),
            gives(b"one ", b"", b"two"),
            BlockingSource(lambda: [b"", b"one ", "", b"two"], at_once),
        ):
            cap = self.now(self.client.upload(source))
            self.assertEqual(self.now(self.client.read(cap)), b"one two")

    def test_a_generator_that_was_read_is_refused_and_no_empty_file(self) -> None:
        generator = (block for block in [b"some"])
        for source in (gives(b"some"), BlockingSource(lambda: generator, at_once)):
            self.now(self.client.upload(source))
            self.assertRegex(str(self.failure(source, ValueError)), "generator that is over")

    def test_a_generator_that_an_upload_has_lost_is_refused(self) -> None:
        source = gives(b"one ", b"two")
        self.fake.fail_next("PUT /uri", LostAnswer(done=False))
        self.failure(source, AnswerLost)
        self.failure(source, ValueError)

    def test_the_rest_of_a_generator_can_be_sent(self) -> None:
        source = gives(b"one ", b"two")
        self.now(anext(source))
        self.assertEqual(self.now(self.client.read(self.now(self.client.upload(source)))), b"two")

    def test_a_text_file_is_refused_at_once(self) -> None:
        path = self.mktemp()
        with open(path, "w") as file:
            file.write("x" * 30)
        with open(path) as file:
            for text in (file, io.StringIO("x" * 30), io.StringIO()):
                error = self.failure(text, TypeError)
                self.assertRegex(str(error), "not str.*'rb'")

    def test_other_blocks_raise_type_error_with_their_type(self) -> None:
        class Nothing(io.BytesIO):
            def read(self, size: int | None = -1) -> Any:
                return None

        for source, name in (
            (Source("text"), "str"),
            (Source(b"some", 5), "int"),
            (gives(None), "NoneType"),
            (gives([b"list"]), "list"),
            (BlockingSource(lambda: b"bytes", at_once), "int"),
            (Nothing(), "NoneType"),
        ):
            self.assertIn(f"not {name}", str(self.failure(source, TypeError)))
        self.assertEqual(self.fake.requests, [])

    def test_a_wrong_length_raises_value_error_with_both_numbers(self) -> None:
        for given, length in (([b"12345"], 3), ([b"12", b"345"], 3), ([b"12"], 3), ([], 3)):
            error = self.failure(Source(*given, length=length, repeatable=True), ValueError)
            self.assertIn("3 bytes", str(error))
            self.assertIn(str(len(b"".join(given))), str(error).partition("3 bytes")[2])
        self.assertEqual(self.fake.requests, [])


class Errors(SourcesTestCase):
    def test_an_error_of_the_source_is_raised_with_its_cause(self) -> None:
        error = LookupError("no such row")
        error.__cause__ = KeyError("id")
        told = self.failure(Source(b"some", error), LookupError)
        self.assertIs(told, error)
        self.assertIsInstance(told.__cause__, KeyError)

    def test_an_error_of_another_grid_is_not_transient_here(self) -> None:
        for blocks in ((AnswerLost("elsewhere"),), (b"some", AnswerLost("elsewhere"))):
            source = Source(*blocks, repeatable=True)
            self.assertIn("elsewhere", str(self.failure(source, AnswerLost)))
            self.assertEqual(source.passes, 1)

    def test_an_error_of_chunks_is_raised(self) -> None:
        class Wrong(Source):
            def chunks(self) -> Any:
                raise LookupError("nothing there")

        self.failure(Wrong(), LookupError)

    def test_an_error_of_progress_is_raised(self) -> None:
        def progress(count: int) -> None:
            raise ZeroDivisionError

        source = Source(b"some", repeatable=True)
        self.failure(source, ZeroDivisionError, progress=progress)
        self.assertEqual(source.passes, 1)


class SeveralGateways(SynchronousTestCase):
    """A source that fails is no fault of the gateway."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.fakes = [FakeGateway(clock=self.clock), FakeGateway(clock=self.clock)]
        transports = [
            Transport(self.clock, "http://fake/", agent=fake.agent) for fake in self.fakes
        ]
        self.client = Client(Gateways(transports))

    def assert_the_first_is_asked(self) -> None:
        self.successResultOf(start(self.client.upload(b"after")))
        self.assertEqual([fake.requests for fake in self.fakes], [["PUT /uri"], []])

    def test_its_error_does_not_make_a_gateway_count_as_away(self) -> None:
        source = Source(b"some", AnswerLost("elsewhere"), repeatable=True)
        self.failureResultOf(start(self.client.upload(source)), AnswerLost)
        self.assertEqual(source.passes, 1)
        self.assert_the_first_is_asked()

    def test_its_silence_does_not_make_a_gateway_count_as_away(self) -> None:
        source = Source(b"some", Deferred(), repeatable=True)
        uploading = start(self.client.upload(source))
        self.clock.advance(61)
        error = self.failureResultOf(uploading, RequestTimeout).value
        self.assertIn("gave no bytes for 60 seconds", str(error))
        self.assertEqual(source.passes, 1)
        self.assert_the_first_is_asked()


@implementer(IAgent)
class Interrupted:
    """An agent that loses its first request when it is told to, and then makes requests."""

    def __init__(self, agent: IAgent) -> None:
        self.agent = agent
        self.requests = 0

    def request(self, method: bytes, uri: bytes, headers: Any = None, body: Any = None) -> Any:
        self.requests += 1
        if self.requests > 1:
            return self.agent.request(method, uri, headers, body)
        self.body = body
        self.answer: Deferred[Any] = Deferred(lambda _: body.stopProducing())
        body.startProducing(io.BytesIO()).addErrback(lambda _: None)
        return self.answer

    def interrupt(self) -> None:
        self.answer.errback(ResponseFailed([Failure(ConnectionLost())]))
        self.body.stopProducing()


class Threads(Clock):
    """A clock with threads, which do the jobs when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Callable[[], None]] = []

    def getThreadPool(self) -> Threads:
        return self

    def callInThreadWithCallback(self, done: Any, function: Any, *arguments: Any) -> None:
        def job() -> None:
            try:
                result = function(*arguments)
            except Exception:
                done(False, Failure())
            else:
                done(True, result)

        self.jobs.append(job)

    def callFromThread(self, function: Any, *arguments: Any) -> None:
        function(*arguments)

    def work(self) -> None:
        """Do all jobs, the newest first: threads keep no order."""
        while self.jobs:
            self.jobs.pop()()


class Passes(SynchronousTestCase):
    """Nothing reads from a source any more when an upload ends, or begins anew."""

    def setUp(self) -> None:
        self.threads = Threads()
        self.fake = FakeGateway(clock=self.threads)
        self.agent = Interrupted(self.fake.agent)
        transport = Transport(self.threads, "http://fake/", agent=self.agent, pauses=(1,))
        self.client = Client(transport)

    def test_an_upload_begins_anew_when_the_last_read_is_over(self) -> None:
        data = b"".join(bytes([number]) * BLOCK for number in range(4))
        uploading = start(self.client.upload(io.BytesIO(data)))
        self.threads.jobs.pop()()  # begins
        self.threads.jobs.pop()()  # reads the first block, and wants the second one
        self.agent.interrupt()
        self.threads.advance(1)
        self.assertEqual((self.agent.requests, len(self.threads.jobs)), (1, 1))
        self.threads.work()
        self.threads.advance(1)
        self.threads.work()
        cap = self.successResultOf(uploading)
        self.assertEqual(self.successResultOf(start(self.client.read(cap))), data)

    def test_an_upload_that_is_cancelled_ends_when_the_last_read_is_over(self) -> None:
        uploading = start(self.client.upload(io.BytesIO(b"x" * BLOCK)))
        uploading.cancel()
        self.assertNoResult(uploading)
        self.threads.work()
        self.failureResultOf(uploading, CancelledError)

    def test_a_read_that_never_ends_is_not_waited_for_longer_than_the_timeout(self) -> None:
        for interrupt in (self.agent.interrupt, lambda: None):
            self.agent.requests = 0
            uploading = start(self.client.upload(io.BytesIO(b"x" * BLOCK)))
            interrupt()
            self.threads.pump([30] * 5)
            error = self.failureResultOf(uploading, RequestTimeout).value
            self.assertIn("gave no bytes", str(error))
            self.assertEqual(self.agent.requests, 1)
            self.threads.work()

    def test_an_upload_begins_anew_when_an_asynchronous_source_has_ended(self) -> None:
        passes: list[str] = []

        @implementer(ISource)
        class Slow:
            length = None
            repeatable = True

            async def chunks(source) -> AsyncIterator[bytes]:
                passes.append("begins")
                try:
                    yield b"x" * 100
                    if len(passes) == 1:
                        await Deferred()
                finally:
                    await deferLater(self.threads, 5)
                    passes.append("ends")

        uploading = start(self.client.upload(Slow()))
        self.agent.interrupt()
        self.threads.pump([1] * 12)
        self.successResultOf(uploading)
        self.assertEqual(passes, ["begins", "ends", "begins", "ends"])

    def test_a_source_that_is_not_read_to_its_end_is_closed(self) -> None:
        closed: list[bool] = []

        async def chunks() -> AsyncIterator[bytes]:
            try:
                for _ in range(3):
                    yield b"x" * 100
            finally:
                closed.append(True)

        uploading = start(
            self.client.upload(chunks(), progress=lambda count: self.agent.body.pauseProducing())
        )
        uploading.cancel()
        self.failureResultOf(uploading, CancelledError)
        self.assertEqual(closed, [True])


class WithoutThreads(ClockTestCase):
    """Under a reactor without threads, as `Clock`, files are read and written at once."""

    def test_a_file_is_uploaded_and_saved(self) -> None:
        data = bytes(range(256)) * 2**12
        file = io.BytesIO(b"before" + data)
        file.seek(6)
        cap = self.now(self.client.upload(file))
        saved = io.BytesIO()
        self.now(self.now(self.client.download(cap)).save(saved))
        self.assertEqual(saved.getvalue(), data)
        self.assertFalse(file.closed or saved.closed)

    def test_an_error_of_the_file_is_raised(self) -> None:
        class Broken(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                raise PermissionError("not yours")

        self.failureResultOf(start(self.client.upload(Broken())), PermissionError)
