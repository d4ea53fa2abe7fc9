"""Tests of the plan: its formulas, its simulation, and the requests that it counts."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

from attrs import evolve
from django.core.files.base import ContentFile
from twisted.trial.unittest import SynchronousTestCase

from tahoestorage.reactor.waiting import done
from tahoestorage.storage import TahoeStorage
from tests.bench.case import Action, Side
from tests.bench.measuring import count
from tests.bench.place import Place, random_content
from tests.bench.plan import choices, limit, main, price_table, save_table, size_table
from tests.bench.prices import Line, Price, Prices, load_prices, random_links
from tests.bench.sites import (
    LIMIT,
    Caps,
    Cost,
    Fanout,
    Flat,
    Site,
    Work,
    most_saves,
    spread_of,
    waits,
)
from tests.grid.shared import gateways_for
from tests.processes import apart
from txtahoe.caps import Cap


def price(alone: float, each: float = 0.0) -> Price:
    return Price(Line(alone, each), Line(alone / 2, each), Line(alone / 4, each / 2))


PRICES = Prices(
    upload=price(0.03),
    file_read=price(0.02),
    read=price(0.02, 150e-6),
    write=price(0.06, 100e-6),
    make=price(0.05, 100e-6),
    renew=price(0.02),
    parse=Line(0.0, 50e-6),
    size=Line(13_000, 300),
    memory=Line(0.0, 3_000),
)


class LineTests(SynchronousTestCase):
    def test_a_line_goes_through_points_on_it(self) -> None:
        line = Line.through([(names, 2.0 + 0.5 * names) for names in (0, 10, 1_000)])
        self.assertAlmostEqual(line.constant, 2.0)
        self.assertAlmostEqual(line.each, 0.5)

    def test_a_line_never_falls(self) -> None:
        self.assertEqual(Line.through([(16, 3.0), (1_000, 1.0)]).each, 0.0)
        self.assertEqual(Line.through([(16, 0.0), (1_000, 5.0)]).constant, 0.0)

    def test_prices_come_back_from_a_file(self) -> None:
        path = Path(self.mktemp())
        prices = evolve(PRICES, measured=[("save", 500, 0.1)], load=(1.0, 2.0), processors=2)
        prices.dump(path)
        self.assertEqual(load_prices(path), prices)

    def test_a_file_without_prices_is_refused(self) -> None:
        path = Path(self.mktemp())
        for text in ("[]", "{}", "no json"):
            path.write_text(text)
            with self.assertRaises(ValueError):
                load_prices(path)


class SpreadTests(SynchronousTestCase):
    """Tests of the average spread of names."""

    def test_the_spread_agrees_with_real_digests(self) -> None:
        for names in (100, 3_000, 20_000):
            digests = [sha256(b"%d" % number).hexdigest() for number in range(names)]
            directories = 1
            for depth in range(1, 6):
                sizes = Counter(digest[: depth - 1] for digest in digests)
                directories += 16 * sum(size > LIMIT for size in sizes.values())
            told = sum(spread_of(names).levels)
            self.assertLess(abs(told - directories), 0.05 * directories)

    def test_parts_have_all_names_and_no_part_is_too_large(self) -> None:
        for names in (1e3, 1e4, 1e5, 1e6, 1e8):
            spread = spread_of(names)
            self.assertLess(abs(spread.parts * spread.names_of_part / names - 1), 0.02)
            self.assertLessEqual(spread.names_of_part, LIMIT)

    def test_a_small_directory_is_not_spread(self) -> None:
        spread = spread_of(float(LIMIT))
        self.assertEqual((spread.parts, spread.depth, spread.names_of_part), (1, 0, LIMIT))

    def test_a_process_rarely_reads_the_parts_that_it_knows(self) -> None:
        reads = [spread_of(names).usual_reads for names in (100.0, 1e4, 1e6, 1e8)]
        self.assertEqual(reads, sorted(reads))
        self.assertLess(reads[0], 0.2)
        self.assertLessEqual(reads[-1], spread_of(1e8).depth + 1)


class FormulaTests(SynchronousTestCase):
    """Tests of costs by files and hosts."""

    def test_a_flat_directory_costs_by_its_names_and_days_divide_the_cost(self) -> None:
        flat = Flat(PRICES)
        seconds = [flat.save(Site(files)).seconds for files in (1e3, 1e5, 1e7)]
        self.assertEqual(seconds, sorted(set(seconds)))
        self.assertAlmostEqual(seconds[1], 0.03 + 0.06 + 10)
        self.assertAlmostEqual(flat.save(Site(1e8, days=1_000)).seconds, seconds[1])

    def test_a_spread_directory_costs_about_the_same_at_any_size(self) -> None:
        fanout = Fanout(PRICES)
        seconds = [fanout.save(Site(files)).seconds for files in (1e3, 1e5, 1e7)]
        self.assertLess(max(seconds), 2 * min(seconds))

    def test_with_caps_the_number_of_files_does_not_matter(self) -> None:
        caps = Caps(PRICES)
        self.assertEqual(caps.first_save(Site(1e3)), caps.save(Site(1e8, 100)))
        self.assertEqual(caps.page(Site(1e8)).requests, 0)

    def test_links_of_caps_are_made_in_batches(self) -> None:
        *_, (batches, names) = Caps(PRICES).directories(Site(1e7, days=10))
        self.assertEqual((batches, names), (20_000, 500))
        shares = [Caps(PRICES).linking(4, rate) for rate in (1, 10, 100)]
        self.assertEqual(shares, sorted(shares))

    def test_several_hosts_look_up_the_writer(self) -> None:
        alone, many = (Flat(PRICES).first_save(Site(1e3, hosts)) for hosts in (1, 10))
        self.assertEqual(many.requests, alone.requests + 1)

    def test_days_have_directories_of_months_and_years(self) -> None:
        self.assertEqual(Site(1e3, days=31).above, [1, 1, 1])
        self.assertEqual(Site(1e3, days=366).above, [1, 2, 13])

    def test_a_page_larger_than_the_memory_is_read_again(self) -> None:
        pages = [Flat(PRICES).page(Site(files)).read_count for files in (9_000, 20_000)]
        self.assertEqual(pages[0], 2)
        self.assertEqual(round(pages[1]), 52)

    def test_an_operation_beyond_the_deadline_is_not_possible(self) -> None:
        flat = Flat(PRICES)
        for files, is_possible in ((1e5, True), (1e6, False)):
            site = Site(files)
            for cost in (flat.save(site), flat.listing(site)):
                self.assertEqual(flat.is_possible(cost, site), is_possible)


class SimulationTests(SynchronousTestCase):
    """Tests of the simulation."""

    write = Work(upload=(0.02, 0.001), read=(0.0, 0.0), write=(1.0, 0.01), places=1)

    def test_a_lone_save_does_not_wait(self) -> None:
        told = waits(self.write, hosts=1, rate=0.001)
        self.assertAlmostEqual(told.median, 1.02)
        self.assertEqual(told.writes, 1)

    def test_one_directory_waits_as_queueing_theory_says(self) -> None:
        # M/D/1: with so many processes, hardly any two saves share a write.
        told = waits(self.write, hosts=200, rate=0.5, saves=10_000)
        load = 0.5
        self.assertLess(abs(told.mean / (1.02 + load / (2 * (1 - load))) - 1), 0.1)

    def test_saves_of_a_process_share_writes(self) -> None:
        told = waits(self.write, hosts=1, rate=20)
        self.assertLess(told.writes, 0.2)
        # A write of its own process, those of the three others before it, and a part of a round.
        self.assertLess(told.most, 10)

    def test_parts_are_written_at_the_same_time(self) -> None:
        spread = evolve(self.write, places=1_000)
        self.assertGreater(most_saves(spread, 10, 2.0), 10 * most_saves(self.write, 10, 2.0))

    def test_without_writes_the_rates_of_hosts_add_up(self) -> None:
        upload = evolve(self.write, places=0)
        one, ten = (most_saves(upload, hosts, 2.0) for hosts in (1, 10))
        self.assertLess(abs(ten / one - 10), 1)
        self.assertLessEqual(one, upload.most(1))

    def test_the_same_seed_gives_the_same_result(self) -> None:
        one, same, other = (waits(self.write, 2, 0.8, seed=seed) for seed in (1, 1, 2))
        self.assertEqual(one, same)
        self.assertNotEqual(one, other)


class CommandTests(SynchronousTestCase):
    def test_tables_have_all_layouts(self) -> None:
        every = choices(PRICES)
        for text in (save_table(every), size_table(every)):
            self.assertTrue(all(choice.name in text for choice in every), text)
        self.assertIn("fails", save_table(every))
        self.assertIn("upload", price_table(PRICES))

    def test_a_limit_is_the_last_number_that_holds(self) -> None:
        flat = choices(PRICES)[0]
        self.assertLess(limit(flat, lambda choice, files: files <= 20_000), 20_001)
        self.assertEqual(limit(flat, lambda choice, files: False), 0)

    def test_missing_prices_get_a_message(self) -> None:
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), self.assertRaises(SystemExit):
            main(["--prices", "missing.json"])
        self.assertIn("missing.json", errors.getvalue())


class RealCountsTests(SynchronousTestCase):
    """The storage sends the requests that the plan counts."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.place = Place(gateways_for(self)[0], folder)
        self.addCleanup(self.place.close)

    def assert_counts(self, cost: Cost, side: Side, *, more: int = 0) -> None:
        """Require that an action sends the predicted requests, and at most so many reads more."""
        counts = count(side, self.place)
        reads = round(cost.read_count)
        self.assertEqual((counts.uploads, counts.directory_writes), (cost.uploads, cost.writes))
        self.assertIn(counts.directory_reads, range(reads, reads + more + 1))
        self.assertEqual(counts.requests - counts.directory_reads, round(cost.requests) - reads)

    def assert_first_save(self, cost: Cost, side: Side) -> None:
        # The read that is under way when the upload is over is asked again.
        self.assert_counts(cost, side, more=1)

    def directory(self, names: int) -> tuple[str, list[str]]:
        """A root, with so many files in `d/`."""
        links = random_links(names)
        bare = self.place.bare
        root = bare.make_directory({"d": bare.make_directory(links)})
        return root, [f"d/{name}" for name in links]

    def test_the_requests_of_one_directory(self) -> None:
        flat, site = Flat(PRICES), Site(20)
        root, names = self.directory(20)
        self.assert_first_save(flat.first_save(site), lambda place: saving(place.storage(root)))
        self.assert_counts(flat.save(site), lambda place: saving(used(place.storage(root))))
        self.assert_counts(flat.listing(site), lambda place: listing(place.storage(root)))
        self.assert_counts(flat.page(site), lambda place: showing(place.storage(root), names))

    def test_the_requests_of_days(self) -> None:
        flat, site = Flat(PRICES), Site(3, days=3)
        bare = self.place.bare
        days = {f"{day:02}": bare.make_directory(random_links(1)) for day in (1, 2, 3)}
        month = bare.make_directory({"01": bare.make_directory(days)})
        root = bare.make_directory({"2026": month})
        self.assert_first_save(
            flat.first_save(site), lambda place: saving(place.storage(root), "2026/01/02")
        )
        self.assert_counts(flat.listing(site), lambda place: walking(place.storage(root)))

    def test_the_requests_of_parts(self) -> None:
        fanout, site = Fanout(PRICES), Site(LIMIT + 2)
        root = self.place.bare.make_directory()
        links = [(f"d/{name}", Cap.parse(cap)) for name, cap in random_links(LIMIT + 2).items()]
        done(spreading(self.place, root).operations.tree.run(lambda t, _: t.link_many(links)))
        names = [name for name, _ in links]
        self.assert_first_save(
            fanout.first_save(site), lambda place: saving(spreading(place, root))
        )
        self.assert_counts(fanout.listing(site), lambda place: listing(spreading(place, root)))
        self.assert_counts(fanout.page(site), lambda place: showing(spreading(place, root), names))

    def test_the_requests_of_caps(self) -> None:
        caps, site = Caps(PRICES), Site(20)
        root = self.place.bare.make_directory()
        name = self.place.cap_storage(root).save("d/1.bin", ContentFile(random_content()))
        self.assert_counts(caps.first_save(site), lambda place: saving(place.cap_storage(root)))
        self.assert_counts(caps.page(site), lambda place: showing(place.cap_storage(root), [name]))


def spreading(place: Place, root: str) -> TahoeStorage:
    return apart(TahoeStorage(**place.options(root), fanout=True))


def used(storage: TahoeStorage) -> TahoeStorage:
    saving(storage)()
    return storage


def saving(storage: TahoeStorage, directory: str = "d") -> Action:
    return lambda: storage.save(f"{directory}/{token_hex(8)}.bin", ContentFile(random_content()))


def listing(storage: TahoeStorage) -> Action:
    return lambda: storage.listdir("d")


def walking(storage: TahoeStorage) -> Action:
    return lambda: list(storage.walk(""))


def showing(storage: TahoeStorage, names: list[str]) -> Action:
    def run() -> None:
        storage.prefetch(names)
        for name in names:
            assert storage.url(name)

    return run
