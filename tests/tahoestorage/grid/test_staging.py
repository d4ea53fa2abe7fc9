"""Pending changes of a tree, on a gateway in memory, with a clock that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import sha256

from twisted.internet.defer import CancelledError, Deferred

from tahoestorage.grid.staging import DIGEST, Staging
from tests.txtahoe.case import ClockTestCase, start
from txtahoe import Cap, Link, Tree
from txtahoe.errors import ExistingChild, GatewayError, NoSuchChild, NotADirectory
from txtahoe.testing.fake import Delay, Status


class Changes(ClockTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.staging = Staging(self.tree, max_age=10.0)

    def save(self, path: str, data: bytes) -> None:
        digest = sha256(data).hexdigest()
        self.now(self.staging.save(tuple(path.split("/")), data, digest))

    def on_grid(self) -> set[str]:
        async def names() -> set[str]:
            tree = Tree(self.client, self.tree.root)
            return {
                "/".join((*path, name))
                async for path, children in tree.walk()
                for name, node in children.items()
                if not node.is_directory
            }

        found: set[str] = self.now(names())
        return found

    def count(self, request: str) -> int:
        return self.fake.requests.count(request)

    def test_a_directory_that_does_not_exist_yet_has_a_cap_without_rights(self) -> None:
        self.save("a/b/f", b"1" * 100)
        node = self.now(self.staging.resolve(("a", "b")))
        self.assertTrue(node.is_directory)
        self.assertFalse(node.cap.is_known)
        self.assertEqual(set(self.now(self.staging.list(("a",)))), {"b"})
        self.failureResultOf(start(self.staging.list(("a", "b", "f"))), NotADirectory)
        self.failureResultOf(start(self.staging.resolve(("a", "f"))), NoSuchChild)

    def test_a_missing_directory_answers_for_all_below_it(self) -> None:
        for path in ("f", "a/f", "a/b/f", "a/b/c/f"):
            self.failureResultOf(start(self.staging.resolve(tuple(path.split("/")))), NoSuchChild)
        self.assertEqual(self.fake.requests, ["GET /uri/CAP?t=json"])

    def test_answers_that_are_old_at_once_are_asked_for_once_each(self) -> None:
        self.now(self.tree.save("a/b/c/d/f", b"1" * 100))
        self.staging = Staging(self.tree, max_age=0.0)
        self.fake.requests.clear()
        self.now(self.staging.resolve(("a", "b", "c", "d", "f")))
        self.assertEqual(self.fake.requests, 5 * ["GET /uri/CAP?t=json"])

    def test_a_pending_file_is_no_directory_for_another_one(self) -> None:
        self.failureResultOf(start(self.staging.resolve(("a", "f"))), NoSuchChild)
        self.save("a", b"1" * 100)
        saving = start(self.staging.save(("a", "f"), b"2" * 100, "2" * 64))
        self.failureResultOf(saving, NotADirectory)
        self.now(self.staging.commit())
        self.assertEqual(self.on_grid(), {"a"})

    def test_an_answer_grows_old_if_no_change_is_pending(self) -> None:
        def ask(path: str) -> None:
            self.failureResultOf(start(self.staging.resolve((path,))), NoSuchChild)

        ask("f")
        self.clock.advance(11)
        ask("f")
        self.assertEqual(self.count("GET /uri/CAP?t=json"), 2)
        self.save("g", b"1" * 100)
        self.clock.advance(11)
        ask("f")
        self.assertEqual(self.count("GET /uri/CAP?t=json"), 2)

    def test_an_old_answer_is_not_revived_by_a_change(self) -> None:
        self.failureResultOf(start(self.staging.resolve(("d", "f"))), NoSuchChild)
        self.now(self.tree.save("d/f", b"1" * 100))
        self.clock.advance(11)
        self.save("g", b"2" * 100)
        self.assertEqual(self.now(self.staging.resolve(("d", "f"))).size, 100)

    def test_a_digest_is_valid_for_its_cap_alone(self) -> None:
        data = b"1" * 100
        self.save("f", data)
        self.assertEqual(self.now(self.staging.commit()), {})
        metadata = self.now(self.tree.resolve("f", fresh=True)).metadata
        other = self.now(self.client.upload(b"2" * 100))
        self.now(self.tree.link_many([("f", Link(other, metadata))], replace=True))
        self.assertIn(DIGEST, self.now(self.tree.resolve("f", fresh=True)).metadata)
        self.save("f", data)
        self.assertEqual(list(self.staging.pending), [("f",)])

    def test_equal_bytes_undo_a_deletion(self) -> None:
        self.save("f", b"1" * 100)
        self.now(self.staging.commit())
        self.now(self.staging.delete(("f",)))
        self.assertEqual(list(self.staging.pending), [("f",)])
        self.save("f", b"1" * 100)
        self.assertEqual(list(self.staging.pending), [])

    def test_one_file_can_be_linked_after_all_others(self) -> None:
        for name in ("a", "b", "last"):
            self.save(name, name.encode() * 100)
        self.assertEqual(self.now(self.staging.link(but=("last",))), {})
        self.assertEqual(self.on_grid(), {"a", "b"})
        self.now(self.staging.commit())
        self.assertEqual(self.on_grid(), {"a", "b", "last"})

    def test_if_a_link_fails_the_last_one_is_not_made(self) -> None:
        self.save("last", b"0" * 100)
        self.fake.fail_next("PUT /uri", Status(500))
        self.save("a", b"1" * 100)
        failed = self.now(self.staging.link(but=("last",)))
        self.assertEqual([(path, type(failed[path])) for path in failed], [(("a",), GatewayError)])
        self.now(self.staging.commit())
        self.assertEqual(self.on_grid(), set())

    def test_a_directory_that_another_makes_meanwhile_is_not_replaced(self) -> None:
        self.save("d", b"1" * 100)
        other = Tree(self.client, self.tree.root)
        self.now(other.save("d/f", b"2" * 100))
        failed = self.now(self.staging.commit())
        self.assertEqual([type(error) for error in failed.values()], [ExistingChild])
        self.assertEqual(self.on_grid(), {"d/f"})

    def test_look_ups_wait_for_a_commit_under_way(self) -> None:
        self.save("d/f", b"1" * 100)
        self.fake.fail_next("*t=mkdir-with-children", Delay(1.0))
        making = start(self.staging.commit())
        asking = start(self.staging.resolve(("d", "f")))
        self.assertNoResult(asking)
        self.clock.advance(1.0)
        self.assertEqual(self.successResultOf(making), {})
        self.assertEqual(self.successResultOf(asking).size, 100)

    def test_a_cancelled_commit_may_be_made_again(self) -> None:
        self.save("d/f", b"1" * 100)
        self.fake.fail_next("*t=mkdir-with-children", Delay(1.0))
        making = start(self.staging.commit())
        making.cancel()
        self.failureResultOf(making, CancelledError)
        self.assertEqual(self.now(self.staging.commit()), {})
        self.assertEqual(self.on_grid(), {"d/f"})

    def test_a_save_that_is_cancelled_leaves_no_upload_behind(self) -> None:
        async def endless() -> AsyncIterator[bytes]:
            yield b"x"
            await Deferred()

        for _ in range(20):  # more than there is room for
            saving = start(self.staging.save(("f",), endless(), "0" * 64))
            self.assertNoResult(saving)
            saving.cancel()
            self.failureResultOf(saving, CancelledError)
        self.assertEqual(list(self.staging.pending), [])
        self.save("f", b"1" * 100)

    def test_caps_of_the_files_are_those_of_a_plain_upload(self) -> None:
        self.save("f", b"1" * 100)
        cap = self.now(self.client.upload(b"1" * 100))
        self.assertIsInstance(cap, Cap)
        self.assertEqual(self.now(self.staging.resolve(("f",))).cap, cap)
