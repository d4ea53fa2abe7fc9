"""The texts of the pages, of a grid that is healthy, and of one that is not."""

from __future__ import annotations

import os
import re
import threading
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock
from urllib.parse import quote
from urllib.request import Request, urlopen

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db.models import FileField

from tahoestorage.gridpage import overview, placement, roots
from tahoestorage.storage import TahoeStorage
from tests.grid.shares import damage, lose_on
from tests.grid.strangers import silent, stranger
from tests.needs import GRID, needs
from tests.tahoestorage.gridpage.case import FILES, GRID_PAGE, AdminTestCase, node, words
from txtahoe import Tree
from txtahoe.maintenance import renew, take_snapshot
from txtahoe.maintenance.records import RECORDS
from txtahoe.spool import Uploader
from txtahoe.testing.node import free_port


class PageTestCase(AdminTestCase):
    def setUp(self) -> None:
        super().setUp()
        # Equal bytes of two tests would have the same shares.
        self.file = ContentFile(os.urandom(10_000))


class GridPage(PageTestCase):
    @needs(GRID)
    def test_it_shows_gateways_and_servers(self) -> None:
        self.use(self.options(tahoe_base_url=self.gateways))
        said = words(self.get(GRID_PAGE))
        for number, url in enumerate(self.gateways, 1):
            self.assertRegex(said, rf"gateway {number}: {url} \(answered in \d+ ms")
        for server in self.grid.servers:
            self.assertIn(f"{server.name}: connected to 2 of 2 gateways", said)
            self.assertRegex(said, rf"tahoe-lafs/1\S* {server.name} ✓ connected [\d.]+ GB free")
        self.assertNotIn("✗", said)

    def test_it_shows_the_size_of_each_directory(self) -> None:
        self.storage.save("a/b/1.bin", self.file)
        self.storage.save("a/2.bin", self.file)
        self.storage.save("c/3.bin", self.file)
        self.storage.save("4.bin", self.file)
        said = words(self.get(GRID_PAGE))
        self.assertIn(
            "a/ 19.5 KB 2 files, 1 directory c/ 9.8 KB 1 file files in no directory 9.8 KB 1 file ",
            said,
        )
        self.assertIn("All 39.1 KB 4 files, 3 directories The servers hold about 58.6 KB", said)

    def test_it_shows_the_last_check_the_leases_and_the_snapshots(self) -> None:
        said = words(self.get(GRID_PAGE))
        for expected in (
            "tree has never been checked",
            "tree have never been renewed",
            "no snapshots",
        ):
            self.assertIn(expected, said)
        self.storage.save("a/b.bin", self.file)
        self.storage.save("a/small", ContentFile(b"small"))
        taken = self.whole.run(lambda tree, _: take_snapshot(tree))
        self.keep_secret(taken.cap)
        self.whole.run(lambda tree, _: renew(tree))
        self.keep_check()
        said = words(self.get(GRID_PAGE))
        self.assertIn(f"{taken.name} just now 2 2 ", said)
        self.assertIn("All leases were renewed just now", said)
        self.assertIn("✓ Everything was healthy at the last check. It began just now", said)
        self.assertRegex(
            said, "healthy: [0-9] healthy, and so small that it needs no shares: [0-9]"
        )
        self.assertIn("b.bin", words(self.get(node(f".tahoe-maintenance/{taken.name}/a"))))

    def test_it_ignores_records_of_a_wrong_form(self) -> None:
        async def craft(tree: Tree, caller: object) -> None:
            for name, record in (
                ("checked", b"[" * 100_000),
                ("renewed", b"9999-12-31T23:59:59+00:00"),
                ("writer", b"x"),
            ):
                await tree.save([RECORDS, name], record)
            cap = await tree.client.mkdir_immutable({})
            for name, files in (("2090-01-01T00:00:00Z", 1), ("2026-01-01T00:00:00Z", 1e300)):
                told = {"files": files, "directories": 1, "left_out": 0}
                await tree.link([RECORDS, name], cap, metadata={"txtahoe-snapshot": told})

        self.whole.run(craft)
        said = words(self.get(GRID_PAGE))
        self.assertIn("The whole tree has never been checked", said)
        self.assertIn("The leases of the whole tree have never been renewed", said)
        self.assertIn("2090-01-01T00:00:00Z in the future 1 1 ", said)
        self.assertNotIn("2026-01-01", said)
        self.whole.run(lambda tree, _: tree.unlink([RECORDS, "checked"]))
        self.whole.run(lambda tree, _: tree.save([RECORDS, "checked"], b'{"counts": {}}'))
        self.assertIn("The whole tree has never been checked", words(self.get(GRID_PAGE)))

    def test_an_unhealthy_file_links_to_its_page(self) -> None:
        self.storage.save("a & <b>/ü 100%?.bin", self.file)
        self.lose(self.cap_of("a & <b>/ü 100%?.bin"), 1)
        self.keep_check()
        page = self.get(GRID_PAGE)
        self.assertIn(
            "Everything was readable at the last check, but not everything was healthy", words(page)
        )
        self.assertIn("shares are missing or damaged 2 of 3 shares found; 2 are", words(page))
        link = re.search(r'<a href="([^"]*)">a &amp; &lt;b&gt;/ü 100%\?.bin</a>', page)
        said = words(self.get(unescape(link[1])))
        self.assertIn("✗ Readable, but not healthy : 2 of 3 shares are good", said)

    @needs(GRID)
    def test_it_shows_the_transfers_under_way(self) -> None:
        server = self.grid.servers[0]
        self.patch(overview, "PATIENCE", 1.0)  # a frozen server answers nothing
        server.freeze()
        self.addCleanup(self.grid.wait_ready)
        self.addCleanup(server.thaw)
        upload = Request(f"{self.gateway}uri", os.urandom(300_000), method="PUT")
        sending = threading.Thread(target=lambda: urlopen(upload, timeout=120).close())
        sending.start()
        said = ""
        while "1 under way" not in said and sending.is_alive():
            said = words(self.get(GRID_PAGE))
        server.thaw()
        sending.join()
        self.assertRegex(said, r"Gateway 1: \d+ under way .* upload 293.0 KB \d+ %")

    def test_a_gateway_that_is_away_is_named_and_the_others_answer(self) -> None:
        away = f"http://127.0.0.1:{free_port()}/"
        self.use(self.options(tahoe_base_url=[self.gateway, away]))
        said = words(self.get(GRID_PAGE))
        self.assertRegex(said, rf"gateway 2 *: {away} ✗ .*no Tahoe-LAFS gateway can be reached")
        self.assertIn("Gateway 2 does not answer", said)
        self.assertIn("server-1 ✓ connected", said)
        self.assertIn("The whole tree has never been checked", said)

    def test_it_is_shown_if_no_gateway_answers(self) -> None:
        away = f"http://127.0.0.1:{free_port()}/"
        self.use(self.options(tahoe_base_url=away))
        said = words(self.get(GRID_PAGE))
        self.assertIn("no Tahoe-LAFS gateway can be reached", said)
        self.assertIn("No gateway answers, so nothing else is known", said)
        self.assertIn("no Tahoe-LAFS gateway can be reached", words(self.get(node("a"))))
        for module in (overview, placement):
            self.patch(module, "PATIENCE", 0.5)
        with stranger(silent) as url:
            self.use(self.options(tahoe_base_url=url))
            self.assertIn("✗ no answer within 0.5 seconds", words(self.get(GRID_PAGE)))
            self.assertIn("no progress for 0.5 seconds", words(self.get(node("a"))))

    def test_it_shows_what_is_in_the_spool_of_the_host(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        away = f"http://127.0.0.1:{free_port()}/"
        self.assertNotIn("Spool", words(self.get(GRID_PAGE)))
        spool = Path(folder.name, "spool")
        self.use(self.options(tahoe_base_url=away, spool=spool, spool_min_free=0))
        self.assertIn("that this host has saved is on the grid", words(self.get(GRID_PAGE)))
        with mock.patch.object(Uploader, "wake"):
            storages["default"].save("a.bin", ContentFile(b"x" * 1000))
        said = words(self.get(GRID_PAGE))
        self.assertIn("not on the grid yet: 1 (1000 bytes). The oldest was saved just now", said)
        (journal,) = spool.glob("*/journal.sqlite3")
        journal.unlink()
        journal.mkdir()
        self.assertIn("cannot be used", words(self.get(GRID_PAGE)))

    def test_a_lost_directory_does_not_hide_the_others(self) -> None:
        self.storage.save("a/b/1.bin", self.file)
        self.storage.save("c/2.bin", self.file)
        self.lose(self.cap_of("a/b"))
        self.keep_check()
        said = words(self.get(GRID_PAGE))
        self.assertIn("a/ 0 bytes 0 files, 1 directory 1 not readable", said)
        self.assertIn("c/ 9.8 KB 1 file", said)
        self.assertIn("✗ Not everything was readable", said)
        self.assertIn("nothing below this directory could be checked", said)
        self.assertIn("✗ Not readable now", words(self.get(node("a/b"))))
        self.assertIn("HTTP 410", words(self.get(node("a/b/1.bin"))))

    def test_a_visitor_can_choose_one_of_several_trees(self) -> None:
        other = self.whole.run(lambda tree, _: tree.client.mkdir())
        self.use(
            self.options(),
            static=self.options(location="static"),
            other=self.options(tahoe_base_cap=str(other)),
        )
        self.storage.save("a/b.bin", self.file)
        page = self.get(GRID_PAGE)
        self.assertIn("default, static other Gateways", words(page))
        self.assertIn("a/ 9.8 KB", words(page))
        self.assertIn("manage.py tahoe check The option", words(page))
        link = re.search(r'<a href="([^"]*)">a/</a>', page)[1]
        self.assertIn("b.bin", words(self.get(unescape(link))))
        said = words(self.get(f"{GRID_PAGE}?storage=other"))
        self.assertIn("manage.py tahoe check --storage other The option", said)
        self.assertNotIn("a/ 9.8 KB", said)
        self.get(f"{GRID_PAGE}?storage=missing", 404)
        self.get(node("a", storage="other"), 404)

    def test_it_shows_what_is_wrong_with_the_settings(self) -> None:
        self.use({"tahoe_base_url": self.gateway})
        self.assertIn("TAHOE_STORAGE_BASE_CAP", words(self.get(GRID_PAGE)))
        self.get(node("a"), 404)
        self.override(STORAGES={"default": FILES, "staticfiles": FILES})
        self.assertIn("No storage of this site is a TahoeStorage", words(self.get(GRID_PAGE)))
        self.override(TAHOE_STORAGE_BASE_URL=self.gateway, TAHOE_STORAGE_BASE_CAP=self.cap)
        self.assertIn("server-1 ✓ connected", words(self.get(GRID_PAGE)))

    def test_drawings_are_the_same_in_every_language(self) -> None:
        self.storage.save("a.bin", self.file)
        self.keep_check()
        self.override(LANGUAGE_CODE="de", USE_THOUSAND_SEPARATOR=True)
        page = self.get(GRID_PAGE)
        self.assertIn("Abmelden", page)
        self.assertIn("Bei der letzten Prüfung war alles gesund. Beginn: gerade eben", words(page))
        drawn = "".join(re.findall(r"<svg class=.*?</svg>", page, re.DOTALL))
        numbers = re.findall(r' (?:x|y|x1|x2|y1|y2|width|height)="([^"]*)"', drawn)
        self.assertIn("1000", numbers)
        self.assertEqual([each for each in numbers if not each.isdecimal()], [])

    def test_links_keep_the_language_of_the_site(self) -> None:
        self.storage.save("a/b.bin", self.file)
        middleware = [*settings.MIDDLEWARE, "django.middleware.locale.LocaleMiddleware"]
        self.override(
            ROOT_URLCONF="tests.tahoestorage.gridpage.translated_urls", MIDDLEWARE=middleware
        )
        page = self.get("/de/admin/tahoestorage/grid/")
        self.assertIn('href="/de/admin/tahoestorage/grid/node/?path=a"', page)
        self.assertNotIn("/en", page)


class NodePage(PageTestCase):
    @needs(GRID)
    def test_it_shows_the_servers_of_the_shares(self) -> None:
        self.storage.save("a/b.bin", self.file)
        lose_on(self.grid.servers[1], self.cap_of("a/b.bin"))
        said = words(self.get(node("a/b.bin")))
        self.assertIn("Name a/b.bin Kind file Size 9.8 KB Linked ", said)
        rows = re.findall(r"server-\d [✓–]\D*[✓–]\D*[✓–]", said)
        self.assertEqual([row.count("✓") for row in rows], [1, 0, 1], said)

    @needs(GRID)
    def test_buttons_check_verify_and_repair(self) -> None:
        self.storage.save("a/b.bin", self.file)
        address, cap = node("a/b.bin"), self.cap_of("a/b.bin")
        self.assertIn("✓ Healthy", words(self.post(address, "check")))
        self.assertIn("the gateway read all shares", words(self.post(address, "verify")))
        self.assertIn("There was nothing to repair", words(self.post(address, "repair")))
        lose_on(self.grid.servers[2], cap)
        answer = self.browser.post(address, {"action": "repair"})
        self.assertEqual((answer.status_code, answer.headers["Location"]), (302, address))
        said = words(self.get(address))
        self.assertIn("✓ Healthy: 3 of 3 shares are good", said)
        self.assertIn("Repaired. Before the repair: 2 of 3 shares are good", said)
        self.assertGreaterEqual(len(self.grid.share_files(cap.storage_index)), 3)
        damage(self.grid, cap, 0)
        self.assertIn("✓ Healthy", words(self.post(address, "check")))
        said = words(self.post(address, "verify"))
        self.assertIn("✗ Not readable now", said)
        self.assertEqual(said.count("✗ damaged"), len(self.grid.share_files(cap.storage_index)))
        self.post(address, "remove", 400)

    def test_a_link_opens_the_file_at_the_url_of_its_storage(self) -> None:
        self.use(
            self.options(base_url="https://files.example/"),
            private=self.options(location="private", base_url=None),
        )
        self.storage.save("a/b.bin", self.file)
        self.storage.save("private/c.bin", self.file)
        address = re.search(r'<a href="([^"]*)">Open the file', self.get(node("a/b.bin")))[1]
        answer = self.browser.get(unescape(address))
        self.assertEqual(answer.status_code, 302)
        self.assertRegex(
            answer.headers["Location"], r"^https://files\.example/named/URI:CHK:.*/b\.bin$"
        )
        # The outer storage gives no URL to a file of the inner one.
        self.get(node("private/c.bin", open=1), 404)
        self.get(node(".tahoe-maintenance", open=1), 404)
        self.browser = self.log_in("view_grid")
        self.assertNotIn("Open the file", self.get(node("a/b.bin")))
        self.get(node("a/b.bin", open=1), 403)

    def test_the_storage_of_a_field_guards_its_files_too(self) -> None:
        private = TahoeStorage(**self.options(location="private", base_url=None))
        each = FileField(storage=private)
        self.patch(roots, "every_file_field", lambda: [(None, each)])
        self.use(self.options(base_url="https://files.example/"))
        private.save("c.bin", self.file)
        self.get(node("private/c.bin", open=1), 404)
        self.assertIn("3 of 3 shares", words(self.get(node("private/c.bin"))))

    def test_another_storage_with_wrong_options_does_not_hide_the_root(self) -> None:
        wrong = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"x": 1}}
        self.override(STORAGES={**settings.STORAGES, "wrong": wrong})
        self.assertEqual([root.problem for root in roots.all_roots()], [""])

    def test_a_small_file_has_no_shares(self) -> None:
        self.storage.save("small", ContentFile(b"small"))
        page = self.get(node("small"))
        self.assertIn("has no shares of its own", words(page))
        self.assertNotIn("<button name", page)

    def test_directories_are_listed_with_links(self) -> None:
        files = [(f"a/{number:03}.txt", ContentFile(b"small")) for number in range(101)]
        self.storage.save_many([*files, ("a/b/c/d.bin", self.file)])
        said = words(self.get(node("a")))
        self.assertRegex(
            said, r"Kind directory .* b/ [\d-]+ [\d:]+ 9.8 KB 1 file, 1 directory 000.txt"
        )
        self.assertIn("098.txt", said)
        self.assertNotIn("099.txt", said)
        page = self.get(node("a"))
        link = re.search(r'<a href="([^"]*)">Next</a>', page)[1]
        said = words(self.get(unescape(link)))
        self.assertIn("099.txt", said)
        self.assertIn("Page 2 of 2: 102 names", said)
        self.assertIn("a/", words(self.get(node(""))))

    def test_a_name_that_no_url_can_have_has_no_link(self) -> None:
        cap = self.storage.save("real", self.file) and self.cap_of("real")
        for name in ("with/slash", "..", "plain name"):
            self.whole.run(lambda tree, _, name=name: tree.client.link(tree.root, name, cap))
        page = self.get(node(""))
        self.assertIn(">plain name</a>", page)
        self.assertIn("with/slash", page)
        self.assertNotIn("with/slash</a>", page)
        self.assertNotIn(">..</a>", page)

    def test_a_missing_path_is_not_found_and_a_missing_page_is_the_last(self) -> None:
        self.storage.save("a", self.file)
        for path in ("missing", "a/below", "../a", "missing/below"):
            self.get(f"{GRID_PAGE}node/?path={quote(path)}", 404)
        self.assertIn(
            "Contents Name Linked Size a ",
            words(self.get(node("", page=7))),
        )
