"""Nodes that die, freeze and come back while requests are under way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import gatherResults

from tests.faults.case import FaultTestCase, Outcome, in_thread, pause
from tests.needs import TIME, needs
from tests.seeds import SEED, random_for
from txtahoe import Cap, Client
from txtahoe.errors import NoSuchChild, RequestTimeout, UnknownOutcome
from txtahoe.testing.grid import Node

SMALL = 10_000
LARGE = 20 * 2**20
# The gateway is back within about a second: one client gives up before, the other waits for it.
PATIENCE: dict[str, tuple[float, ...]] = {"hasty": (0.25,), "patient": (0.25, *[0.5] * 10)}

Request = Callable[[Client, str], Awaitable[Any]]


def noise(size: int, word: str) -> bytes:
    return random_for(word).randbytes(size)


@needs(TIME)
class KilledGateway(FaultTestCase):
    """
    Two clients begin each kind of request at once: one gives up soon, and the other one still waits
    when the gateway is back. The test kills the gateway at a random moment of the requests.
    """

    async def kill_during(self, request: Request) -> dict[str, Outcome]:
        """The outcomes by the name of the client; the gateway is whole again after it."""
        choose = random_for(self.id())
        clients = {name: self.connect(pauses=pauses) for name, pauses in PATIENCE.items()}
        usual = await self.seconds_of(lambda: request(self.client, "undisturbed"))
        moment = choose.uniform(0, usual)
        started = {name: self.start(request(client, name)) for name, client in clients.items()}
        await pause(moment)
        await in_thread(self.gateway.kill)
        await in_thread(self.gateway.start)
        outcomes = {name: await each for name, each in started.items()}
        await self.mend()
        return outcomes

    def explain(self, outcomes: dict[str, Outcome]) -> str:
        return f"seed {SEED}: {outcomes}"

    async def test_every_cap_that_an_upload_gave_reads_as_the_bytes(self) -> None:
        for size in (SMALL, LARGE):
            outcomes = await self.kill_during(
                lambda client, name, size=size: client.upload(noise(size, name))
            )
            for name, outcome in outcomes.items():
                if outcome.succeeded:
                    data = await self.client.read(outcome.result)
                    self.assertTrue(data == noise(size, name), self.explain(outcomes))

    async def test_a_download_has_no_wrong_byte(self) -> None:
        data = noise(LARGE, "download")
        cap = await self.client.upload(data)
        got = {name: bytearray() for name in ("undisturbed", *PATIENCE)}

        async def download(client: Client, name: str) -> None:
            async for chunk in await client.download(cap):
                got[name] += chunk

        outcomes = await self.kill_during(download)
        for name, outcome in outcomes.items():
            expected = data if outcome.succeeded else data[: len(got[name])]
            self.assertTrue(got[name] == expected, (name, self.explain(outcomes)))

    async def test_a_listing_is_whole_or_an_error(self) -> None:
        children = await self.new_children(40)
        directory = await self.client.mkdir(children)
        outcomes = await self.kill_during(lambda client, name: client.list(directory))
        for outcome in outcomes.values():
            if outcome.succeeded:
                found = {name: node.cap for name, node in outcome.result.items()}
                self.assertEqual(found, children)

    async def test_a_child_is_found_or_unavailable_but_never_missing(self) -> None:
        children = await self.new_children(1)
        directory = await self.client.mkdir(children)
        outcomes = await self.kill_during(lambda client, name: client.child(directory, "0"))
        for outcome in outcomes.values():
            self.assertNotIsInstance(outcome.error, NoSuchChild)
            if outcome.succeeded:
                self.assertEqual(outcome.result.cap, children["0"])

    async def test_a_new_directory_is_there_when_its_cap_is_given(self) -> None:
        children = await self.new_children(3)
        outcomes = await self.kill_during(lambda client, name: client.mkdir(children))
        for outcome in outcomes.values():
            if outcome.succeeded:
                self.assertEqual(set(await self.client.list(outcome.result)), set(children))

    async def test_a_link_is_there_as_reported(self) -> None:
        before, new = await self.new_children(2), await self.client.upload(noise(SMALL, "new"))
        directory = await self.client.mkdir(before)
        outcomes = await self.kill_during(lambda client, name: client.link(directory, name, new))
        expected = {name: {name: new} for name in outcomes}
        await self.assert_links(directory, before | {"undisturbed": new}, outcomes, expected)

    async def test_several_links_are_there_all_or_none_as_reported(self) -> None:
        before, new = await self.new_children(2), await self.client.upload(noise(SMALL, "new"))
        directory = await self.client.mkdir(before)

        def several(name: str) -> dict[str, Cap]:
            return {f"{name} {number}": new for number in range(3)}

        outcomes = await self.kill_during(
            lambda client, name: client.set_children(directory, several(name))
        )
        expected = {name: several(name) for name in outcomes}
        await self.assert_links(directory, before | several("undisturbed"), outcomes, expected)

    async def test_an_unlinked_name_is_gone_as_reported(self) -> None:
        cap = await self.client.upload(noise(SMALL, "old"))
        directory = await self.client.mkdir({"stays": cap})
        await self.client.set_children(directory, dict.fromkeys(["undisturbed", *PATIENCE], cap))
        nodes = await self.client.list(directory)
        outcomes = await self.kill_during(
            lambda client, name: client.unlink(directory, name, nodes[name])
        )
        there = await self.client.list(directory)
        self.assertIn("stays", there)
        for name, outcome in outcomes.items():
            if not isinstance(outcome.error, UnknownOutcome):
                self.assertEqual(name in there, not outcome.succeeded, self.explain(outcomes))

    async def test_a_mutable_file_has_one_of_its_contents_as_reported(self) -> None:
        caps = {
            name: await self.client.create_mutable(noise(SMALL, "before"))
            for name in ("undisturbed", *PATIENCE)
        }
        outcomes = await self.kill_during(
            lambda client, name: client.overwrite(caps[name], noise(SMALL, name))
        )
        for name, outcome in outcomes.items():
            possible = [noise(SMALL, name)]
            if not outcome.succeeded:
                possible.append(noise(SMALL, "before"))
            self.assertIn(await self.client.read(caps[name]), possible, self.explain(outcomes))

    async def test_a_check_reports_or_fails_and_does_no_harm(self) -> None:
        cap = await self.client.upload(noise(SMALL, "checked"))
        # Right after its start the gateway may report that it sees no share yet.
        await self.kill_during(lambda client, name: client.check(cap, verify=True, repair=True))
        self.assertTrue((await self.client.check(cap, verify=True)).is_healthy)

    async def test_a_complete_deep_check_has_met_every_object(self) -> None:
        children = await self.new_children(20)
        directory = await self.client.mkdir(children)

        async def walk(client: Client, name: str) -> set[tuple[str, ...]]:
            return {entry.path async for entry in await client.deep_check(directory)}

        outcomes = await self.kill_during(walk)
        for outcome in outcomes.values():
            if outcome.succeeded:
                self.assertEqual(outcome.result, {(), *((name,) for name in children)})

    async def new_children(self, count: int) -> dict[str, Cap]:
        return {
            str(number): await self.client.upload(noise(100, str(number)))
            for number in range(count)
        }

    async def assert_links(
        self,
        directory: Cap,
        before: dict[str, Cap],
        outcomes: dict[str, Outcome],
        expected: dict[str, dict[str, Cap]],
    ) -> None:
        """The directory holds the old and the acknowledged links; unknown ones may be there."""
        there = {name: node.cap for name, node in (await self.client.list(directory)).items()}
        for name, cap in before.items():
            self.assertEqual(there.pop(name, None), cap, self.explain(outcomes))
        for name, outcome in outcomes.items():
            found = {key: there.pop(key) for key in expected[name] if key in there}
            if outcome.succeeded:
                self.assertEqual(found, expected[name], self.explain(outcomes))
            elif isinstance(outcome.error, UnknownOutcome):
                self.assertIn(found, ({}, expected[name]), self.explain(outcomes))
            else:
                self.assertEqual(found, {}, self.explain(outcomes))
        self.assertEqual(there, {}, self.explain(outcomes))


@needs(TIME)
class StorageServers(FaultTestCase):
    """One of three storage servers goes away while its shares are written or read."""

    def setUp(self) -> None:
        super().setUp()
        self.server: Node = self.grid.servers[1]

    async def disturb(self, fault: Callable[[], Any], operation: Awaitable[Any]) -> Outcome:
        """The outcome of an operation during which a fault happens at a random moment."""
        started = self.start(operation)
        await pause(random_for(self.id()).uniform(0, 0.4))
        await in_thread(fault)
        return await started

    async def assert_uploaded(self, outcome: Outcome, data: bytes) -> None:
        await self.mend()
        cap = outcome.result if outcome.succeeded else await self.client.upload(data)
        self.assertTrue(await self.client.read(cap) == data, f"seed {SEED}")

    async def test_an_upload_survives_the_death_of_a_server_or_can_be_made_again(self) -> None:
        data = noise(LARGE, "killed")
        outcome = await self.disturb(self.server.kill, self.client.upload(data))
        await self.assert_uploaded(outcome, data)

    async def test_an_upload_to_a_frozen_server_ends_and_can_be_made_again(self) -> None:
        data = noise(2**20, "frozen")  # the deadline grows with the size
        await in_thread(self.server.freeze)
        outcome = await self.outcome(self.client.upload(data))
        self.assertIsInstance(outcome.error, RequestTimeout)
        await self.assert_uploaded(outcome, data)

    async def test_an_upload_goes_on_when_its_server_thaws(self) -> None:
        data = noise(LARGE, "thawed")
        started = self.start(self.client.upload(data))
        await pause(0.1)
        await in_thread(self.server.freeze)
        await pause(2)
        await in_thread(self.server.thaw)
        outcome = await started
        self.assertTrue(outcome.succeeded, outcome)
        await self.assert_uploaded(outcome, data)

    async def test_a_download_loses_no_byte_to_the_death_of_a_server(self) -> None:
        await self.assert_read_during(self.server.kill)

    async def test_a_download_loses_no_byte_to_a_frozen_server(self) -> None:
        await self.assert_read_during(self.server.freeze)

    async def test_a_download_from_too_few_servers_is_an_error_until_they_are_back(self) -> None:
        data = noise(LARGE, "two frozen")
        cap = await self.client.upload(data)
        download = await self.client.download(cap)
        got = bytearray(await download.read())
        for server in self.grid.servers[:2]:
            await in_thread(server.freeze)

        async def rest() -> None:
            async for chunk in download:
                got.extend(chunk)

        outcome = await self.outcome(rest())
        self.assertFalse(outcome.succeeded)
        self.assertTrue(got == data[: len(got)])
        for server in self.grid.servers[:2]:
            await in_thread(server.thaw)
        self.assertTrue((await self.outcome(rest())).succeeded)  # goes on from where it was
        self.assertTrue(got == data)

    async def assert_read_during(self, fault: Callable[[], Any]) -> None:
        data = noise(LARGE, "read")
        cap = await self.client.upload(data)
        got = bytearray()

        async def read() -> None:
            async for chunk in await self.client.download(cap):
                got.extend(chunk)

        outcome = await self.disturb(fault, read())
        self.assertTrue(got == data[: len(got)], f"seed {SEED}")
        if outcome.succeeded:
            self.assertEqual(len(got), LARGE)
        await self.mend()
        self.assertTrue(await self.client.read(cap) == data)

    async def test_a_link_with_a_dead_server_is_kept_when_it_is_back(self) -> None:
        cap = await self.client.upload(noise(SMALL, "linked"))
        directory = await self.client.mkdir({"before": cap})
        await in_thread(self.server.kill)
        outcome = await self.outcome(self.client.link(directory, "during", cap))
        await self.mend()
        there = await self.client.list(directory)
        self.assertIn("before", there)
        self.assertEqual("during" in there, outcome.succeeded, outcome)

    async def test_a_link_with_a_frozen_server_is_made_or_unknown(self) -> None:
        cap = await self.client.upload(noise(SMALL, "linked"))
        directory = await self.client.mkdir({"before": cap})
        await in_thread(self.server.freeze)
        names = [f"during {number}" for number in range(3)]
        outcomes = await gatherResults(
            self.start(self.client.link(directory, name, cap)) for name in names
        )
        await self.mend()
        await self.client.link(directory, "after", cap)  # the gateway writes one after the other
        there = await self.client.list(directory)
        self.assertLessEqual({"before", "after"}, set(there))
        for name, outcome in zip(names, outcomes, strict=True):
            if not isinstance(outcome.error, UnknownOutcome):
                self.assertEqual(name in there, outcome.succeeded, outcome)
