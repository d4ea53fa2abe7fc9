"""`manage.py tahoe check|renew|snapshot|restore|diff`."""

from __future__ import annotations

import os
from datetime import datetime
from unittest import mock

from tahoestorage.care.wholetree import WholeTree
from tests.tahoestorage.management.case import CommandTestCase
from txtahoe.maintenance import LEASE_SECONDS, last_check
from txtahoe.maintenance.records import RECORDS


class WholeTreeTestCase(CommandTestCase):
    def lose_shares(self, name: str, shares: int) -> None:
        """Destroy so many shares of a file or directory."""
        self.lose(self.cap_of(name), shares)


class Checking(WholeTreeTestCase):
    def test_healthy_files_are_counted(self) -> None:
        self.save(a__b=os.urandom(1000), c=b"")
        [line] = self.lines("check")
        self.assertRegex(line, r"^4 objects in \d+\.\d s: 3 healthy, 1 literal$")
        told = self.told("check", "a", "--verify")
        self.assertEqual((told["is_healthy"], told["objects"]), (True, 2))

    def test_missing_shares_are_found_and_repaired(self) -> None:
        self.save(a__b=os.urandom(1000))
        self.lose_shares("a/b", 1)
        said = self.fail_verb("check", status=3)
        self.assertRegex(said, r"unhealthy  2 of 3  a/b\n")
        self.assertIn("--repair", said)
        self.assertRegex(self.run_verb("check", "--repair"), r"repaired  2 of 3  a/b\n")
        self.assertTrue(self.told("check", "--verify")["is_healthy"])

    def test_lost_files_are_reported_by_name(self) -> None:
        self.save(a__b=os.urandom(1000), a__c=b"1", d=b"1")
        self.lose_shares("a/b", 2)
        self.assertRegex(self.fail_verb("check", status=4), r"unrecoverable  1 of 3  a/b\n")
        self.lose_shares("a", 3)
        said = self.fail_verb("check", "--json", status=4)
        self.assertIn('"is_complete": false', said)

    def test_a_lost_root_is_reported(self) -> None:
        self.lose_shares("", 3)
        said = self.fail_verb("check", status=4)
        self.assertRegex(said, r"unrecoverable  0 of \?  /  ")
        self.assertIn("will not show this check", said)

    def test_the_last_check_of_everything_is_kept(self) -> None:
        self.save(a__b=os.urandom(1000))
        self.run_verb("check", "a")
        whole = WholeTree.of(self.storage)
        self.assertIsNone(whole.run(lambda tree, _: last_check(tree)))
        self.run_verb("check")
        kept = whole.run(lambda tree, _: last_check(tree))
        self.assertEqual(kept.objects, 3)


class Renewing(WholeTreeTestCase):
    def test_it_says_how_long_the_leases_would_have_lasted(self) -> None:
        self.save(a=os.urandom(100))
        self.assertIn("have never been renewed before", self.run_verb("renew"))
        self.assertIn("would have expired on", self.run_verb("renew"))
        self.assertEqual(self.run_verb("renew", "-v", "0"), "")
        told = self.told("renew")
        self.assertEqual(told["oldest_until"], told["previous"] + LEASE_SECONDS)
        later = told["oldest_until"] + 1
        with mock.patch("tahoestorage.management.verbs.health.now", return_value=later):
            self.assertIn("expired on", self.run_verb("renew"))

    def test_leases_are_renewed_even_if_no_record_can_be_kept(self) -> None:
        self.save(a=os.urandom(100))
        whole = WholeTree.of(self.storage)
        whole.run(lambda tree, _: tree.save([RECORDS], os.urandom(100)))
        said = self.fail_verb("renew", "-v", "0", status=3)
        self.assertIn("The next renewal will not know of this one: '.tahoe-maintenance'", said)
        self.assertIn(" 3 healthy", self.fail_verb("renew", status=3))

    def test_verbosity_0_prints_lost_files(self) -> None:
        self.save(a=os.urandom(100))
        self.lose_shares("a", 3)
        self.assertIn("unrecoverable", self.fail_verb("renew", "-v", "0", status=4))


class Snapshots(WholeTreeTestCase):
    def test_deleted_and_replaced_files_come_back(self) -> None:
        self.save(a__b=b"1", a__c=b"2", d=b"3")
        taken = self.told("snapshot")
        self.assertEqual((taken["files"], taken["directories"]), (3, 2))
        self.use(allow_overwrite=True)
        self.run_verb("rm", "a/b")
        self.save(d=b"other", e=b"new")
        self.assertEqual(
            [line.split() for line in self.lines("diff", "latest")[1:]],
            [["removed", "a/b"], ["changed", "d"], ["added", "e"]],
        )
        self.assertEqual(self.told("diff", "latest", "--name", "a")[0]["name"], "a/b")
        said = self.fail_verb("restore", taken["name"])
        self.assertEqual(
            said,
            "a/b\nNot brought back are:\n"
            "d: something else has this name now; --replace replaces files",
        )
        self.assertEqual(self.lines("restore", "latest", "--replace"), ["d"])
        self.assertEqual([self.read(name) for name in ("a/b", "d", "e")], [b"1", b"3", b"new"])

    def test_one_directory_comes_back(self) -> None:
        self.save(a__b=b"1", a__c=b"2", d=b"3")
        self.run_verb("snapshot")
        self.run_verb("rm", "-r", "a", "d")
        self.assertEqual(self.lines("restore", "latest", "a"), ["a/b", "a/c"])
        self.assertEqual(self.lines("ls"), ["a/"])

    def test_a_storage_reads_a_snapshot(self) -> None:
        self.save(a=b"then")
        printed = self.run_verb("snapshot") + self.run_verb("snapshot", "--json")
        self.assertNotIn("URI:", printed)
        cap = self.run_verb("snapshot", "--cap", "latest").strip()
        self.run_verb("rm", "a")
        then = self.new_storage(tahoe_base_cap=cap)
        with then.open("a") as file:
            self.assertEqual(file.read(), b"then")
        self.assertRaises(PermissionError, then.delete, "a")

    def test_a_file_with_its_cap_names_a_snapshot(self) -> None:
        self.save(a=b"1")
        file = self.folder / "snapshot.cap"
        self.run_verb("snapshot")
        file.write_text(self.run_verb("snapshot", "--cap", "latest"))
        self.run_verb("snapshot", "--remove", self.told("snapshot", "--list")[0]["name"])
        self.assertEqual(
            self.run_verb("snapshot", "--list"),
            "There is no snapshot. `manage.py tahoe snapshot` takes one.\n",
        )
        self.run_verb("rm", "a")
        self.assertEqual(self.lines("restore", str(file)), ["a"])

    def test_two_snapshots_are_compared(self) -> None:
        self.save(a=b"1")
        first = self.told("snapshot")["name"]
        self.save(b=b"2")
        second = self.told("snapshot")["name"]
        self.run_verb("rm", "a")
        self.assertEqual(self.told("diff", first, second)[0]["kind"], "added")
        self.assertEqual(
            [line.split() for line in self.lines("snapshot", "--list")[1:]][0][0], first
        )

    def test_latest_is_never_a_snapshot_of_the_future(self) -> None:
        self.save(a=b"1")
        name = self.told("snapshot")["name"]
        before = datetime.fromisoformat(name).timestamp() - 100_000
        with mock.patch("txtahoe.maintenance.records.time", return_value=before):
            said = self.fail_verb("restore", "latest")
            self.assertIn(
                "By the clock of this machine the times of all snapshots are in the future", said
            )
            self.assertIn("nothing to restore", self.run_verb("restore", name))

    def test_a_wrong_snapshot_is_an_error(self) -> None:
        bad = self.folder / "bad"
        bad.write_text("no cap")
        file = self.folder / "file"
        file.write_text("URI:LIT:aa")
        for name, said in (
            ("latest", "No snapshot is kept"),
            ("yesterday", "No snapshot has the name 'yesterday'"),
            (str(bad), "holds no cap"),
            (str(file), "is no readable directory"),
        ):
            self.assertIn(said, self.fail_verb("restore", name))
        self.assertIn("no snapshot 'x'", self.fail_verb("snapshot", "--remove", "x"))

    def test_lost_files_are_left_out_and_reported(self) -> None:
        self.save(a__b=b"1", c=b"2")
        self.lose_shares("a", 3)
        said = self.fail_verb("snapshot", status=3)
        self.assertIn("tells more):\na: ", said)
        self.assertEqual(self.told("snapshot", "--list")[0]["left_out"], 1)
