"""
The promises for several gateways to one grid: anyone may read through any of them, and an
acknowledged link stays if only one gateway at a time writes a directory.
"""

from __future__ import annotations

from itertools import cycle

from twisted.internet.defer import gatherResults

from tests.faults.case import FaultTestCase, in_thread
from tests.needs import TIME, needs
from tests.seeds import random_for
from txtahoe import Cap, Client
from txtahoe.errors import ExistingChild, GatewayUnreachable
from txtahoe.http.failover import Gateways

WRITERS = 8


@needs(TIME)
class TwoGateways(FaultTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.second = self.connect(self.grid.gateway_urls[1])
        self.both = [self.client, self.second]

    def together(self, *clients: Client, **options: bool) -> Client:
        transports = [client._transport for client in clients]
        return Client(Gateways(transports, **options))  # type: ignore[arg-type]

    async def caps(self, client: Client, directory: Cap) -> dict[str, Cap]:
        return {name: node.cap for name, node in (await client.list(directory)).items()}

    async def new_file(self, number: int) -> Cap:
        return await self.second.upload(random_for("a file", number).randbytes(500))

    async def write(self, client: Client, directory: Cap, writer: int) -> dict[str, Cap]:
        """Link some names, one after the other; return the acknowledged ones."""
        linked = {}
        for number in range(4):
            name = f"{writer}-{number}"
            cap = await self.new_file(10 * writer + number)
            if (await self.outcome(client.link(directory, name, cap))).succeeded:
                linked[name] = cap
        return linked

    async def test_reads_may_alternate(self) -> None:
        directory = await self.client.mkdir()
        for number, reader in zip(range(12), cycle(self.both), strict=False):
            cap = await self.new_file(number)
            await self.client.link(directory, str(number), cap)
            self.assertEqual((await reader.child(directory, str(number))).cap, cap)
            self.assertEqual(len(await reader.list(directory)), number + 1)
            self.assertEqual(await reader.read(cap), await self.client.read(cap))

    async def test_many_writers_through_one_gateway_lose_nothing(self) -> None:
        directory = await self.client.mkdir()
        linked = await gatherResults(
            self.start(self.write(self.client, directory, writer)) for writer in range(WRITERS)
        )
        acknowledged = {name: cap for each in linked for name, cap in each.result.items()}
        self.assertEqual(len(acknowledged), WRITERS * 4)
        for client in self.both:
            self.assertEqual(await self.caps(client, directory), acknowledged)

    async def test_readers_of_the_other_gateway_miss_no_name_meanwhile(self) -> None:
        directory = await self.client.mkdir()
        writing = gatherResults(
            self.start(self.write(self.client, directory, writer)) for writer in range(WRITERS)
        )
        before: dict[str, Cap] = {}
        while not writing.called:
            outcome = await self.outcome(self.caps(self.second, directory))
            if outcome.succeeded:
                self.assertLessEqual(before.items(), outcome.result.items())
                before = outcome.result
        await writing

    async def test_the_second_gateway_may_write_when_the_first_is_gone(self) -> None:
        directory = await self.client.mkdir()
        first = await self.write(self.client, directory, 1)
        await in_thread(self.gateway.kill)
        second = await self.write(self.second, directory, 2)
        await in_thread(self.gateway.start)
        await self.mend()
        third = await self.write(self.client, directory, 3)
        self.assertEqual(await self.caps(self.second, directory), first | second | third)

    async def test_writes_of_two_gateways_at_once_succeed_or_raise_one_of_our_errors(self) -> None:
        # Acknowledged writes may be lost here, and are: Tahoe-LAFS's Prime Coordination Directive.
        directory = await self.client.mkdir()
        linked = await gatherResults(
            self.start(self.write(client, directory, writer))
            for writer, client in zip(range(4), cycle(self.both), strict=False)
        )
        acknowledged = {name: cap for each in linked for name, cap in each.result.items()}
        cap = await self.new_file(100)
        await self.client.link(directory, "after", cap)
        there = await self.caps(self.second, directory)
        self.assertEqual(there["after"], cap)
        for name in acknowledged.keys() & there.keys():
            self.assertEqual(there[name], acknowledged[name])

    async def test_a_client_of_both_reads_and_uploads_when_the_first_is_gone(self) -> None:
        client = self.together(*self.both)
        directory = await client.mkdir()
        linked = await self.write(client, directory, 1)
        await in_thread(self.gateway.kill)
        self.assertEqual(await self.caps(client, directory), linked)
        cap = await client.upload(b"while it is away" * 10)
        self.assertEqual(await client.read(cap), b"while it is away" * 10)

    async def test_a_client_of_both_changes_nothing_through_the_second(self) -> None:
        client = self.together(*self.both)
        directory = await client.mkdir()
        await in_thread(self.gateway.kill)
        outcome = await self.outcome(client.link(directory, "a", await self.second.upload(b"a")))
        self.assertIsInstance(outcome.error, GatewayUnreachable)
        self.assertEqual(await self.second.list(directory), {})

    async def test_a_client_of_both_loses_nothing_while_the_first_dies_and_comes_back(self) -> None:
        client = self.together(*self.both)
        directory = await client.mkdir()
        started = [self.start(self.write(client, directory, writer)) for writer in range(WRITERS)]
        for _ in range(2):
            await in_thread(self.gateway.kill)
            await in_thread(self.gateway.start)
        linked = await gatherResults(started)
        await self.mend()
        acknowledged = {name: cap for each in linked for name, cap in each.result.items()}
        there = await self.caps(self.client, directory)
        self.assertLessEqual(acknowledged.items(), there.items())

    async def test_a_client_of_both_moves_its_writes_to_the_second_if_allowed(self) -> None:
        client = self.together(*self.both, next_may_change=True)
        directory = await client.mkdir()
        first = await self.write(client, directory, 1)
        await in_thread(self.gateway.kill)
        second = await self.write(client, directory, 2)
        self.assertEqual(len(second), 4)
        self.assertEqual(await self.caps(self.second, directory), first | second)
        with self.assertRaises(ExistingChild):
            await client.link(directory, "1-0", await self.second.upload(b"x"))
