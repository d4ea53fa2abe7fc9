"""Checks, repairs, leases and walks, on a real grid."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from tests.grid.case import GatewayTestCase, StrangerTestCase
from tests.grid.shares import damage
from tests.grid.strangers import Behaviour, answers, stalls
from tests.needs import GRID, needs
from txtahoe import Cap, Tree
from txtahoe.errors import AnswerLost, NotADirectory, TahoeError, Unrecoverable

DATA = bytes(range(256)) * 40
DIRECTORY = Cap.parse("URI:DIR2:aaaqeayeaudaocajbifqydiob4:" + "a" * 52)


@needs(GRID)
class Checks(GatewayTestCase):
    async def test_a_healthy_file_is_healthy(self) -> None:
        for cap in (
            await self.client.upload(DATA),
            await self.client.upload(b"literal"),
            await self.client.mkdir(),
            await self.client.create_mutable(DATA),
        ):
            for options in ({}, {"verify": True}, {"repair": True}, {"add_lease": True}):
                report = await self.client.check(cap, **options)
                self.assertTrue(report.is_healthy and report.is_recoverable, (cap, options))
                self.assertIsNone(report.is_repaired)

    async def test_a_lost_share_is_found_and_repaired(self) -> None:
        cap = await self.client.upload(DATA + b"lost")
        shares = self.grid.share_files(cap.storage_index)
        shares[0].unlink()
        report = await self.client.check(cap)
        self.assertEqual((report.is_healthy, report.is_recoverable), (False, True))
        self.assertEqual(report.counts["count-shares-good"], 2)
        report = await self.client.check(cap, repair=True)
        self.assertTrue(report.is_healthy and report.is_repaired)
        assert report.before is not None
        self.assertFalse(report.before.is_healthy)
        self.assertGreaterEqual(len(self.grid.share_files(cap.storage_index)), 3)

    async def test_a_damaged_share_is_found_by_verifying(self) -> None:
        cap = await self.client.upload(DATA + b"damaged")
        damage(self.grid, cap, -1)
        self.assertTrue((await self.client.check(cap)).is_healthy)
        report = await self.client.check(cap, verify=True)
        self.assertFalse(report.is_healthy or report.is_recoverable)

    async def test_a_check_leaves_the_contents_alone(self) -> None:
        cap = await self.client.upload(DATA)
        await self.client.check(cap, verify=True, repair=True, add_lease=True)
        self.assertEqual(await self.client.read(cap), DATA)


@needs(GRID)
class Walks(GatewayTestCase):
    async def tree(self) -> Tree:
        tree = await self.new_tree()
        for name in ("a/é", "a/b/f", "g"):
            await tree.link(name, await self.client.upload(name.encode() * 100))
        return tree

    async def test_a_walk_meets_everything_and_ends_with_statistics(self) -> None:
        tree = await self.tree()
        for walk in (
            await self.client.manifest(tree.root),
            await self.client.deep_check(tree.root),
            await self.client.deep_check(tree.root, verify=True, repair=True, add_lease=True),
        ):
            self.assertIsNone(walk.stats)
            entries = {entry.path: entry async for entry in walk}
            self.assertEqual(
                set(entries), {(), ("a",), ("a", "é"), ("a", "b"), ("a", "b", "f"), ("g",)}
            )
            self.assertEqual(entries["a", "b"].type, "directory")
            self.assertEqual(entries["g",].cap, (await tree.resolve("g")).cap)
            assert walk.stats is not None
            self.assertEqual(walk.stats["count-files"], 3)

    async def test_a_deep_check_reports_on_each_object(self) -> None:
        tree = await self.tree()
        cap = (await tree.resolve("g")).cap
        self.grid.share_files(cap.storage_index)[0].unlink()
        walk = await self.client.deep_check(tree.root)
        healthy = {entry.path: entry.report.is_healthy async for entry in walk if entry.report}
        self.assertEqual([path for path in healthy if not healthy[path]], [("g",)])
        walk = await self.client.deep_check(tree.root, repair=True)
        repaired = [entry.path async for entry in walk if entry.report and entry.report.is_repaired]
        self.assertEqual(repaired, [("g",)])

    async def test_a_walk_into_a_lost_directory_raises(self) -> None:
        tree = await self.tree()
        cap = await tree.make_directories("lost")
        for share in self.grid.share_files(cap.storage_index):
            share.unlink()
        walk = await self.client.manifest(tree.root)
        with self.assertRaises(Unrecoverable):
            async for _ in walk:
                pass
        self.assertIsNone(walk.stats)

    async def test_only_directories_are_walked(self) -> None:
        cap = await self.client.upload(DATA)
        await self.assertFailure(Deferred.fromCoroutine(self.client.manifest(cap)), NotADirectory)

    async def test_a_walk_can_be_left(self) -> None:
        client, proxy = self.connect_through_proxy()
        walk = await client.manifest((await self.tree()).root)
        async for _ in walk:
            break
        walk.close()


class CutWalks(StrangerTestCase):
    """Streams that are cut off, malformed, or stall."""

    async def failure(
        self, behave: Behaviour, expected: type[Exception], **options: float
    ) -> Exception:
        walk = await self.connect(self.meet(behave), **options).manifest(DIRECTORY)
        with self.assertRaises(expected) as raised:
            async for _ in walk:
                pass
        return raised.exception

    async def test_a_stream_without_its_last_line_is_cut_off(self) -> None:
        line = '{"type": "file", "path": ["f"], "cap": "URI:LIT:nbswy3dp"}\n'
        error = await self.failure(answers("200 OK", line), AnswerLost)
        self.assertIn("before the end", str(error))
        await self.failure(answers("200 OK", ""), AnswerLost)

    async def test_an_error_line_is_an_exception_without_caps(self) -> None:
        text = (
            "ERROR: NotEnoughSharesError(ran out of shares of URI:DIR2:aaaqeay:bbb)\n"
            "[Failure instance: Traceback: <class 'allmydata.interfaces.NotEnoughSharesError'>\n"
        )
        error = await self.failure(answers("200 OK", text), Unrecoverable)
        self.assertNotIn("aaaqeay", str(error))

    async def test_a_stream_that_stalls_raises_timeout_error(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"
        await self.failure(stalls(head), TimeoutError, timeout=0.5)

    async def test_a_line_that_is_not_json_raises_not_a_gateway(self) -> None:
        await self.failure(answers("200 OK", "{oops\n"), TahoeError)
        await self.failure(answers("200 OK", '{"type": "file"}\n'), TahoeError)
