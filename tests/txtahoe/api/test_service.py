"""A client as a part of an application, and of an `async with` block: it leaves nothing behind."""

from __future__ import annotations

import tempfile

from twisted.application.service import IService, MultiService
from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import TestCase

from tests.txtahoe.case import ClockTestCase, start
from txtahoe import Arrival, Client, TahoeService, Tree
from txtahoe.errors import ClientClosed
from txtahoe.testing.fake import Delay, FakeGateway, Silence

DATA = bytes(range(256)) * 2**13


class OnAReactor(TestCase):
    """Trial looks for sockets and delayed calls after each test, which looks for threads."""

    def setUp(self) -> None:
        self.fake = FakeGateway()
        listening = self.fake.listening()
        self.addCleanup(listening.stop)
        self.client = Client.connect(reactor, listening.url, timeout=50)

    async def use(self, tree: Tree) -> None:
        """Leave an upload of a file, one of arriving bytes, a download and a walk unfinished."""
        cap = await tree.save("a", DATA)
        file = self.enterContext(tempfile.TemporaryFile())
        file.write(DATA)
        file.seek(0)
        self.fake.fail_next("PUT /uri", Silence(), times=2)
        works = [start(tree.save("b", file)), start(Arrival(tree.client).finish(DATA))]
        download = await tree.client.download(cap)
        await download.read()
        await anext(await tree.client.manifest(tree.root))
        self.works = [self.assertFailure(work, ConnectionError) for work in works]

    async def left(self) -> None:
        for work in self.works:
            await work
        await self.assertFailure(start(self.client.status()), ClientClosed)
        self.assertEqual(reactor.getThreadPool().working, [])

    async def test_a_block_with_a_tree_closes_its_client(self) -> None:
        async with Tree(self.client, self.fake.make_directory()) as tree:
            await self.use(tree)
        await self.left()

    async def test_an_application_that_stops_closes_the_client(self) -> None:
        application = MultiService()
        service = TahoeService(self.client)
        self.assertTrue(IService.providedBy(service))
        service.setServiceParent(application)
        application.startService()
        await self.use(Tree(self.client, self.fake.make_directory()))
        await application.stopService()
        self.assertFalse(service.running)
        await self.left()


class LastWords(TahoeService):
    """Saves a file while it stops, and then closes the client."""

    def stopService(self) -> Deferred[None]:
        return start(self.say())

    async def say(self) -> None:
        await self.client.upload(DATA)
        await super().stopService()


class Stopping(ClockTestCase):
    def test_a_service_may_use_its_client_until_it_closes_it(self) -> None:
        self.fake.fail_next("PUT /uri", Delay(5))
        application = MultiService()
        LastWords(self.client).setServiceParent(application)
        application.startService()
        stopping = maybeDeferred(application.stopService)
        self.assertNoResult(stopping)
        self.clock.advance(5)
        self.assertEqual(self.successResultOf(stopping), [(True, None)])
        self.failureResultOf(start(self.client.status()), ClientClosed)


class Connecting(ClockTestCase):
    def test_a_client_of_a_url_has_the_options_of_the_usual_case(self) -> None:
        client = Client.connect(self.clock, "http://gateway:3456/", timeout=5)
        transport = client._transport
        self.assertEqual(transport.gateway.to_text(), "http://gateway:3456")
        self.assertEqual((transport.timeout, client.reactor), (5, self.clock))
        self.assertRaises(ValueError, Client.connect, self.clock, "gateway:3456")
        self.now(client.close())
