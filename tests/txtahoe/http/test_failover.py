"""Several gateways in one client: which one is asked, and which one if that is away."""

from __future__ import annotations

import io

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.grid.case import GatewayTestCase
from tests.grid.proxy import Proxy
from tests.grid.strangers import answers, silent, stranger
from txtahoe import Cap, Client, Gateways, Transport
from txtahoe.errors import (
    AnswerLost,
    GatewayUnreachable,
    NoSuchChild,
    NotEnoughServers,
    Unrecoverable,
)

DATA = bytes(range(256)) * 8000


class SeveralGateways(GatewayTestCase):
    def tearDown(self) -> None:
        # Twisted logs one if an answer comes before its request is sent whole.
        self.flushLoggedErrors(AttributeError)

    def setUp(self) -> None:
        super().setUp()
        self.proxies = []
        for gateway in self.gateways:
            proxy = Proxy(gateway).__enter__()
            self.addCleanup(proxy.__exit__)
            self.proxies.append(proxy)
        self.both = self.connect_to(*[proxy.url for proxy in self.proxies])

    def connect_to(self, *urls: str, timeout: float = 20.0, **options) -> Client:
        transports = [Transport(reactor, url, timeout=timeout, pauses=()) for url in urls]
        client = Client(Gateways(transports, **options))
        self.addCleanup(lambda: Deferred.fromCoroutine(client.close()))
        return client

    async def away(self, proxy: Proxy) -> None:
        proxy.refuse()
        proxy.close_connections()
        await self.both._transport.sleep(0.1)  # until the reactor has seen it

    async def failure(self, attempt, expected: type[Exception]) -> Exception:
        return await self.assertFailure(Deferred.fromCoroutine(attempt), expected)

    async def test_the_first_one_is_asked_while_it_answers(self) -> None:
        directory = await self.both.mkdir()
        await self.both.link(directory, "f", await self.both.upload(DATA))
        await self.failure(self.both.child(directory, "g"), NoSuchChild)
        self.assertEqual(self.proxies[1].requests, [])

    async def test_reads_and_uploads_go_on_at_the_next_one(self) -> None:
        directory = await self.both.mkdir()
        cap = await self.both.upload(DATA)
        await self.both.link(directory, "f", cap)
        await self.away(self.proxies[0])
        self.assertEqual(await self.both.read(cap), DATA)
        self.assertEqual(set(await self.both.list(directory)), {"f"})
        again = await self.both.upload(io.BytesIO(DATA))
        self.assertEqual(await self.both.read(again), DATA)
        self.assertTrue((await self.both.check(cap)).is_recoverable)

    async def test_changes_fail_while_the_first_one_is_away(self) -> None:
        directory = await self.both.mkdir()
        cap = await self.both.upload(DATA)
        await self.away(self.proxies[0])
        for change in (
            self.both.link(directory, "f", cap),
            self.both.mkdir(),
            self.both.mkdir_immutable({"f": cap}),
        ):
            error = await self.failure(change, GatewayUnreachable)
            self.assertIn("No other gateway makes changes", str(error))
        self.proxies[0].refuse(False)
        await self.both.link(directory, "f", cap)
        self.assertEqual(set(await self.both.list(directory)), {"f"})

    async def test_next_may_change_sends_changes_to_the_next_one(self) -> None:
        client = self.connect_to(*[proxy.url for proxy in self.proxies], next_may_change=True)
        directory = await client.mkdir()
        await self.away(self.proxies[0])
        await client.link(directory, "f", await client.upload(DATA))
        self.assertEqual(set(await client.list(directory)), {"f"})

    async def test_one_that_fails_is_passed_over_for_a_while_and_asked_again(self) -> None:
        urls = [proxy.url for proxy in self.proxies]
        long, short = self.connect_to(*urls, rest=300), self.connect_to(*urls, rest=0.5)
        cap = await long.upload(b"x" * 100)
        await self.away(self.proxies[0])
        for client in (long, short):
            await client.read(cap)
        self.proxies[0].refuse(False)
        self.proxies[0].requests.clear()
        await long.read(cap)
        self.assertEqual(self.proxies[0].requests, [])
        await self.both._transport.sleep(0.6)
        await short.read(cap)
        self.assertEqual(self.proxies[0].requests, ["GET /uri"])

    async def test_a_download_goes_on_at_the_next_one_in_the_middle(self) -> None:
        cap = await self.both.upload(DATA)
        download = await self.both.download(cap)
        self.proxies[0].cut_after(500_000)
        got = await download.read()
        self.proxies[0].refuse()
        self.assertEqual(got + await download.rest(), DATA)
        self.assertEqual(self.proxies[1].requests, ["GET /uri"])

    async def test_an_upload_of_a_repeatable_source_begins_anew_at_the_next_one(self) -> None:
        async def once():
            yield DATA

        self.proxies[0].lose_answer("PUT /uri")
        cap = await self.both.upload(io.BytesIO(DATA))
        self.assertEqual(await self.both.read(cap), DATA)
        again = self.connect_to(*[proxy.url for proxy in self.proxies])
        self.proxies[0].lose_answer("PUT /uri")
        await self.failure(again.upload(once()), AnswerLost)

    async def test_one_that_is_silent_or_broken_or_no_gateway_is_passed_over(self) -> None:
        for behave in (silent, answers("500 Oops", "x"), answers("404 Not Found", "x")):
            with stranger(behave) as url:
                client = self.connect_to(url, self.gateway, timeout=2 if behave is silent else 20)
                self.assertEqual((await client.upload(b"x" * 100)).size, 100)

    async def test_if_all_are_away_the_last_error_is_raised(self) -> None:
        client = self.connect_to("http://127.0.0.1:1/", "http://127.0.0.1:2/")
        error = await self.failure(client.upload(b"x"), GatewayUnreachable)
        self.assertIn("127.0.0.1:2", str(error))

    async def test_a_file_that_one_cannot_recover_is_asked_of_the_next(self) -> None:
        cap = Cap.parse("URI:CHK:aaaqeayeaudaocajbifqydiob4:" + "a" * 52 + ":2:3:1000")
        await self.failure(self.connect_to(*self.gateways).read(cap), Unrecoverable)


class Readiness(GatewayTestCase):
    async def test_no_directory_is_written_before_there_are_enough_servers(self) -> None:
        directory, cap = await self.client.mkdir(), await self.client.upload(DATA)
        for enough, client in (
            (True, Client(self.client._transport, min_servers=3)),
            (False, Client(self.client._transport, min_servers=4)),
        ):
            for change in (
                lambda: client.mkdir(),  # noqa: B023
                lambda: client.link(directory, f"{enough}", cap),  # noqa: B023
            ):
                if enough:
                    await change()
                else:
                    error = await self.assertFailure(
                        Deferred.fromCoroutine(change()), NotEnoughServers
                    )
                    self.assertIn("connected to 3", str(error))
            self.assertEqual(await client.read(cap, 0, 5), DATA[:5])


class Lists(SynchronousTestCase):
    def test_a_list_of_gateways_is_not_empty(self) -> None:
        self.assertRaises(ValueError, Gateways, [])
