"""A program that uses what zope has interfaces for. mypy checks it without a plugin (.ci/run)."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.web.client import Agent
from twisted.web.server import Request

from txtahoe import Arrival, BytesSource, Client, Download, IteratorSource, Transport, Tree, Walk
from txtahoe.testing.fake import FakeGateway


class Consumer:
    def registerProducer(self, producer: Any, streaming: bool) -> None: ...  # noqa: N802
    def unregisterProducer(self) -> None: ...  # noqa: N802
    def write(self, data: bytes) -> None: ...


async def use(reactor: Any, request: Request, walk: Walk) -> None:
    fake = FakeGateway(clock=Clock())
    transport = Transport(reactor, "http://fake/", agent=fake.agent or Agent(reactor))
    async with Client(transport) as client, Tree(client, fake.make_directory()) as tree:
        download: Download = await tree.download("a")
        await download.write_to(request)
        await download.write_to(Consumer())
        await tree.save("a", BytesSource(b"bytes"))
        await client.upload(IteratorSource(download))
        async with Arrival(client) as arrival:
            await arrival.put(await tree.read("a"))
        async with walk as entries:
            print([entry.report async for entry in entries])
    connected: Client = Client.connect(reactor, "http://fake/")
    await connected.serve(request, tree.root)
