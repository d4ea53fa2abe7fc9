"""The numbers of requests in each case of the benchmark."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.bench.carrying import (
    anchors,
    cap_urls,
    concurrent_cap_saves,
    more_anchors,
    sequential_cap_saves,
)
from tests.bench.case import Case, Limits, Skipped
from tests.bench.counting import Counts
from tests.bench.keeping import (
    first_reads,
    saves,
    warm_answers,
    warm_large,
    warm_reads,
    warm_reads_of_tasks,
)
from tests.bench.large import download_of_large, upload_of_large
from tests.bench.maintaining import snapshot
from tests.bench.measuring import count
from tests.bench.place import Place
from tests.bench.reading import (
    prefetch,
    questions_about_listed,
    questions_about_missing,
    reads_in_new_process,
    reads_of_listed,
    reads_of_saved,
    warm_url,
)
from tests.bench.saving import (
    batch,
    batch_into_new_directories,
    concurrent_saves,
    concurrent_saves_into_new_directories,
    sequential_saves,
)
from tests.bench.spooling import concurrent_spooled_saves, upload_of_pending
from tests.bench.statics import first_collectstatic, unchanged_collectstatic
from tests.grid.shared import gateways_for


class CountsTestCase(SynchronousTestCase):
    """A test that counts the requests of a case on the shared grid."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        # A slow machine needs longer for the same uploads.
        self.place = Place(gateways_for(self)[0], folder, commit_delay=30)
        self.addCleanup(self.place.close)

    def count(self, case: Case) -> Counts:
        """Count the requests of our side. They must be within the limits of the case."""
        try:
            counts = count(case.ours, self.place)
        except Skipped as reason:
            raise SkipTest(str(reason)) from None
        self.assertEqual(case.limits.broken_by(counts), [], counts)
        return counts


class SavingTests(CountsTestCase):
    def test_a_save_is_an_upload_and_a_link(self) -> None:
        counts = self.count(sequential_saves(5))
        self.assertEqual(counts, Counts(10, 5, 0, 0, 5, 1, 10))

    def test_saves_of_threads_share_writes_of_their_directory(self) -> None:
        # How many share one depends on the machine; tests.txtahoe.tree.test_commits has a clock.
        counts = self.count(evolve(concurrent_saves(64), limits=Limits(uploads=64)))
        self.assertEqual(counts.uploads, 64)
        self.assertLess(counts.directory_writes, 64)

    def test_a_batch_is_written_at_once(self) -> None:
        counts = self.count(batch(16))
        self.assertEqual((counts.uploads, counts.directory_writes), (16, 1))
        self.assertGreater(counts.most_at_once, 1)

    def test_new_directories_are_made_with_their_files(self) -> None:
        counts = self.count(batch_into_new_directories(16))
        self.assertEqual((counts.uploads, counts.directory_writes), (16, 18))

    def test_threads_share_the_making_of_new_directories(self) -> None:
        self.assertEqual(self.count(concurrent_saves_into_new_directories(16)).uploads, 16)


class ReadingTests(CountsTestCase):
    def test_a_saved_file_is_read_with_one_request(self) -> None:
        self.assertEqual(self.count(reads_of_saved(5)), Counts(5, 0, 5, 0, 0, 1, 5))

    def test_a_listed_file_is_read_with_one_request(self) -> None:
        self.assertEqual(self.count(reads_of_listed(5)), Counts(5, 0, 5, 0, 0, 1, 5))

    def test_a_new_process_reads_each_directory_once(self) -> None:
        counts = self.count(reads_in_new_process(files=8, directories=2))
        self.assertEqual((counts.file_reads, counts.directory_reads), (8, 6))
        self.assertEqual(counts.requests, 14)

    def test_questions_about_listed_files_need_no_request(self) -> None:
        self.assertEqual(self.count(questions_about_listed(50)), Counts(1, 0, 0, 1, 0, 1, 1))

    def test_prefetch_reads_each_directory_once_and_several_at_the_same_time(self) -> None:
        counts = self.count(prefetch(names=40, directories=8))
        self.assertEqual((counts.requests, counts.directory_reads), (10, 10))
        self.assertGreater(counts.most_at_once, 1)

    def test_the_url_of_a_known_name_needs_no_request(self) -> None:
        self.assertEqual(self.count(warm_url(20)).requests, 0)


class SpoolingTests(CountsTestCase):
    def test_saves_from_threads_come_to_the_grid_after_they_have_returned(self) -> None:
        place = self.place
        concurrent_spooled_saves(20).ours(place)()
        (storage,) = place._spooled
        self.assertEqual(len(storage.listdir("documents")[1]), 21)
        place.settle()
        plain = place.storage(str(storage.connection.base_cap))
        self.assertEqual(len(plain.listdir("documents")[1]), 21)

    def test_pending_files_are_linked_with_one_write(self) -> None:
        counts = self.count(upload_of_pending(16))
        self.assertEqual((counts.uploads, counts.directory_writes), (16, 1))


class LargeFileTests(CountsTestCase):
    def test_a_large_upload(self) -> None:
        counts = self.count(upload_of_large(3))
        # The directory is read while the bytes are on their way, or before, on a fast gateway.
        self.assertIn(counts.most_at_once, (1, 2))
        self.assertIn(counts.rounds, (2, 3))
        self.assertEqual(evolve(counts, most_at_once=2, rounds=2), Counts(3, 1, 0, 1, 1, 2, 2))

    def test_a_large_download(self) -> None:
        counts = self.count(download_of_large(3))
        self.assertEqual(counts.directory_reads, 1)
        self.assertEqual(counts.requests, counts.file_reads + 1)


class StaticFilesTests(CountsTestCase):
    def test_the_first_collectstatic(self) -> None:
        case = first_collectstatic("admin/css")
        self.assertEqual(self.count(case).uploads, case.operations)

    def test_an_unchanged_collectstatic(self) -> None:
        counts = self.count(unchanged_collectstatic("admin/css"))
        self.assertEqual(counts.requests, counts.directory_reads)
        self.assertEqual((counts.uploads, counts.directory_writes), (0, 0))


class MaintenanceTests(CountsTestCase):
    def test_a_snapshot_reads_and_copies_each_directory_once(self) -> None:
        counts = self.count(snapshot(files=40, directories=8))
        self.assertEqual((counts.uploads, counts.file_reads), (0, 0))
        self.assertGreater(counts.most_at_once, 1)


class CarryingTests(CountsTestCase):
    def test_a_save_is_an_upload(self) -> None:
        for case in (sequential_cap_saves(5), concurrent_cap_saves(16)):
            counts = self.count(case)
            self.assertEqual(counts.uploads, case.operations)

    def test_a_new_process_asks_nothing(self) -> None:
        self.assertEqual(self.count(cap_urls(20)).requests, 0)

    def test_anchoring_writes_once_for_each_batch(self) -> None:
        self.count(anchors(1000))

    def test_anchoring_more_names_costs_the_same_beside_few_and_many(self) -> None:
        few, many = (self.count(more_anchors(names, 10)) for names in (10, 1500))
        self.assertEqual(
            (few.uploads, few.directory_reads, few.directory_writes),
            (many.uploads, many.directory_reads, many.directory_writes),
        )


class BareTests(CountsTestCase):
    """The bare side does the same work, with as few requests."""

    def bare(self, case: Case) -> Counts:
        assert case.bare is not None
        return count(case.bare, self.place)

    def test_bare_saving(self) -> None:
        counts = self.bare(sequential_saves(3))
        self.assertEqual(counts, Counts(6, 3, 0, 0, 3, 1, 6))
        counts = self.bare(batch(8))
        self.assertEqual((counts.requests, counts.uploads, counts.directory_writes), (9, 8, 1))
        counts = self.bare(batch_into_new_directories(4))
        self.assertEqual((counts.requests, counts.uploads, counts.directory_writes), (10, 4, 6))

    def test_bare_reading(self) -> None:
        self.assertEqual(self.bare(reads_of_saved(3)), Counts(3, 0, 3, 0, 0, 1, 3))
        self.assertEqual(self.bare(reads_in_new_process(4, 2)), Counts(10, 0, 4, 6, 0, 1, 10))
        self.assertEqual(self.bare(questions_about_listed(5)), Counts(1, 0, 0, 1, 0, 1, 1))
        self.assertEqual(self.bare(questions_about_missing(3)), Counts(3, 0, 0, 3, 0, 1, 3))
        counts = self.bare(prefetch(8, 4))
        self.assertEqual((counts.requests, counts.directory_reads), (6, 6))

    def test_bare_maintenance(self) -> None:
        counts = self.bare(snapshot(files=8, directories=4))
        self.assertEqual((counts.directory_reads, counts.directory_writes), (5, 6))
        case = anchors(1000)
        self.assertEqual(self.bare(case).directory_writes, case.limits.directory_writes)

    def test_bare_static_files(self) -> None:
        case = first_collectstatic("admin/css/vendor")
        counts = self.bare(case)
        self.assertEqual(counts.uploads, case.operations)
        self.assertEqual(counts.requests, counts.uploads + counts.directory_writes)
        self.assertEqual(case.limits.broken_by(counts), [])


class KeepingTests(CountsTestCase):
    def test_files_on_the_disk_need_no_request(self) -> None:
        for case in (warm_reads(3), warm_reads_of_tasks(3), warm_answers(3), warm_large(3)):
            self.assertEqual(self.count(case).requests, 0)

    def test_a_content_cache_costs_no_request(self) -> None:
        self.assertEqual(self.count(first_reads(3)).file_reads, 3)
        self.assertEqual(self.count(saves(3)), Counts(6, 3, 0, 0, 3, 1, 6))
