"""`manage.py tahoe status`."""

from __future__ import annotations

from tests.grid.proxy import Proxy
from tests.tahoestorage.management.case import CommandTestCase
from txtahoe.testing.fake import FakeGateway


class Status(CommandTestCase):
    def test_a_healthy_grid(self) -> None:
        printed = self.run_verb("status")
        self.assertRegex(printed, rf"{self.gateway} +1\S+ +3 of 3 +\d+ ms +\d+ ms +\d+ ms\n")
        for number in (1, 2, 3):
            self.assertRegex(printed, rf"server-{number} +yes +\d.* tahoe-lafs/1\S+ +20\d\d-")
        self.assertTrue(printed.endswith("files can be read and saved.\n"))
        told = self.told("status")
        self.assertEqual((told["is_ok"], told["problems"]), (True, []))
        self.assertEqual(len(told["servers"]), 3)

    def test_a_missing_server(self) -> None:
        fake = FakeGateway()
        with fake.listening() as url:
            self.use(tahoe_base_url=url, tahoe_base_cap=str(fake.make_directory()))
            fake.servers = 2
            said = self.fail_verb("status", status=3)
            self.assertRegex(said, r"2 of 3")
            self.assertRegex(said, r"server-3 +no ")
            self.assertIn("and not to 'server-3'", said)
            fake.servers = 0
            self.assertIn("can't be read", self.fail_verb("status", status=4))

    def test_an_old_gateway_is_named_with_its_version(self) -> None:
        with self.gateway_of("tahoe-lafs/1.15.1") as (url, cap):
            self.use(tahoe_base_url=url, tahoe_base_cap=cap)
            said = self.fail_verb("status", status=3)
            self.assertRegex(said, rf"{url} +1\.15\.1 +3 of 3")
            self.assertIn("it runs tahoe-lafs 1.15.1; the oldest", said)

    def test_a_missing_gateway(self) -> None:
        with Proxy(self.gateway) as proxy:
            self.use(tahoe_base_url=[self.gateway, proxy.url])
            proxy.refuse()
            said = self.fail_verb("status", status=3)
            self.assertRegex(said, rf"{proxy.url} +no answer\n")
            self.use(tahoe_base_url=[proxy.url, self.gateway])
            self.assertIn("no answer", self.fail_verb("status", status=4))

    def test_a_content_cache(self) -> None:
        self.assertIsNone(self.told("status")["content_cache"])
        self.use(content_cache=self.folder / "cache")
        self.save(a=b"s" * 10_000)
        with self.storage.open("a") as file:
            file.read()
        self.assertRegex(self.run_verb("status"), r"cache has 12\.0\sKB of 1\.0\sGB; 1 reads were")
        told = self.told("status")["content_cache"]
        self.assertEqual(told, {"bytes": 12288, "max_bytes": 2**30, "hits": 1, "misses": 0})
        self.use(content_cache=self.folder)
        self.assertIn("cannot be used", self.run_verb("status"))

    def test_a_read_cap(self) -> None:
        self.use(tahoe_base_cap=str(self.storage.place[0].base_cap.reader))
        self.assertIn("only reads", self.run_verb("status"))
