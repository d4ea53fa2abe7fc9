"""The health of a storage, and the health check of a site."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from attrs import asdict
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.care.wholetree import WholeTree
from tahoestorage.health import StorageHealth, ahealth, health
from tests.grid.proxy import Proxy
from tests.grid.strangers import answers, silent, stranger
from tests.needs import GRID, TIME, needs
from tests.tahoestorage.case import StorageTestCase
from txtahoe import Cap, Link
from txtahoe.errors import NoSuchChild
from txtahoe.maintenance.records import RECORDS, record
from txtahoe.maintenance.writer import WriterRecord
from txtahoe.testing.grid import Server

NOBODY = "http://127.0.0.1:1/"


class HealthTestCase(StorageTestCase):
    def kinds(self, found: StorageHealth) -> list[str]:
        for problem in found.problems:
            self.assertNotIn(self.cap.split(":")[2], str(problem))
            self.assertIn("http://127.0.0.1:", str(problem))
        return [problem.kind for problem in found.problems]


class Health(HealthTestCase):
    def count_shares(self) -> int:
        """The shares of all files, on all servers."""
        files = (
            file
            for server in self.grid.servers
            for file in (server.folder / "storage" / "shares").rglob("*")
        )
        return sum(file.is_file() for file in files)

    def test_a_healthy_grid_has_no_problems(self) -> None:
        found = health(self.storage)
        (gateway,) = found.gateways
        self.assertTrue(found.is_ok)
        self.assertEqual(found.problems, ())
        self.assertEqual((gateway.url, gateway.connected, gateway.known), (self.gateway, 3, 3))
        self.assertRegex(gateway.version or "", r"^1\.\d+")
        for seconds in (gateway.seconds, found.read_seconds, found.write_seconds):
            self.assertGreater(seconds or 0, 0)

    @needs(GRID)
    def test_a_probe_is_five_requests_and_always_the_same_file(self) -> None:
        storage, proxy = self.new_storage_through_proxy()
        self.assertTrue(health(storage).is_ok)
        asked = ["GET /", "GET /", "GET /uri", "POST /uri", "PUT /uri"]
        self.assertEqual(sorted(proxy.requests), asked)
        shares = self.count_shares()
        self.assertTrue(health(storage).is_ok)
        self.assertEqual(self.count_shares(), shares)
        self.assertEqual(storage.listdir(""), ([], []))

    def test_a_gateway_that_is_away_or_no_gateway_is_a_problem(self) -> None:
        with stranger(silent) as mute, stranger(answers("200 OK", "welcome")) as other:
            for url in (NOBODY, mute, other):
                found = health(self.new_storage(tahoe_base_url=url), timeout=1)
                self.assertFalse(found.is_ok)
                self.assertEqual(self.kinds(found), ["gateway"])
                self.assertFalse(found.gateways[0].is_reachable)

    def test_an_older_gateway_than_those_tried_is_a_problem_that_names_its_release(self) -> None:
        for told, version, kinds in (
            ("tahoe-lafs: 1.15.1, foolscap: 20.4.0", "1.15.1", ["release"]),
            ("tahoe-lafs/1.9.2", "1.9.2", ["release"]),
            ("tahoe-lafs/1.16.0.post27", "1.16.0.post27", []),
            ("tahoe-lafs/2.0", "2.0", []),
            ("something else", None, []),
        ):
            with self.gateway_of(told) as (url, cap):
                found = health(self.new_storage(tahoe_base_url=url, tahoe_base_cap=cap))
            self.assertTrue(found.is_ok)
            self.assertEqual(found.gateways[0].version, version)
            self.assertEqual(self.kinds(found), kinds)
            for problem in found.problems:
                self.assertIn(f"tahoe-lafs {version}; the oldest", str(problem))

    def test_if_the_first_gateway_is_away_files_are_read_and_not_saved(self) -> None:
        found = health(self.new_storage(tahoe_base_url=[NOBODY, self.gateway]))
        self.assertFalse(found.is_ok)
        self.assertEqual(self.kinds(found), ["gateway"])
        self.assertIsNone(found.write_seconds)
        self.assertIsNotNone(found.read_seconds)

    def test_another_gateway_that_is_away_does_no_harm(self) -> None:
        found = health(self.new_storage(tahoe_base_url=[self.gateway, NOBODY]))
        self.assertTrue(found.is_ok)
        self.assertEqual(self.kinds(found), ["gateway"])

    def test_a_separate_writer_is_asked_too(self) -> None:
        urls = self.gateways
        good = health(self.new_storage(tahoe_writer_url=urls[1]))
        self.assertTrue(good.is_ok)
        self.assertEqual([gateway.is_writer for gateway in good.gateways], [False, True])
        for options in (
            {"tahoe_writer_url": NOBODY},
            {"tahoe_base_url": NOBODY, "tahoe_writer_url": urls[1]},
        ):
            self.assertFalse(health(self.new_storage(**options)).is_ok)

    def test_after_a_handover_the_new_writer_is_asked(self) -> None:
        gateway, other = self.gateways
        storage = self.new_storage(tahoe_writer_url=NOBODY)
        self.say(WriterRecord(None, NOBODY))
        found = health(storage)
        self.assertFalse(found.is_ok)
        self.assertEqual(self.kinds(found), ["saving"])
        self.assertIn("handed over", str(found.problems[0]))
        self.say(WriterRecord(other, NOBODY))
        found = health(storage)
        self.assertTrue(found.is_ok)
        self.assertEqual([each.url for each in found.gateways if each.is_writer], [other])

    def say(self, told: WriterRecord) -> None:
        """Have the tree say which gateway makes the changes, without a handover's time."""
        whole = WholeTree.of(self.storage)
        with contextlib.suppress(NoSuchChild):
            whole.run(lambda tree, _: tree.unlink([RECORDS, "writer"]))
        link = Link(Cap.parse("URI:LIT:"), {"txtahoe-writer": asdict(told)})
        whole.run(lambda tree, _: record(tree, "writer", link))

    def test_names_that_carry_caps_are_saved_without_the_writer(self) -> None:
        storage = TahoeCapStorage(
            tahoe_base_url=self.gateway, tahoe_base_cap=self.cap, tahoe_writer_url=NOBODY
        )
        found = health(storage)
        self.assertTrue(found.is_ok)
        self.assertEqual(self.kinds(found), ["gateway"])

    def test_a_missing_root_is_a_problem(self) -> None:
        lost = self.cap[:-52] + "a" * 52
        found = health(self.new_storage(tahoe_base_cap=lost))
        self.assertFalse(found.is_ok)
        self.assertEqual(self.kinds(found), ["reading"])

    def test_with_a_read_cap_no_save_is_tried(self) -> None:
        reader = str(Cap.parse(self.cap).reader)
        storage, proxy = self.new_storage_through_proxy(tahoe_base_cap=reader)
        found = health(storage)
        self.assertTrue(found.is_ok)
        self.assertFalse(found.is_writable)
        self.assertIsNone(found.write_seconds)
        self.assertEqual(sorted(proxy.requests), ["GET /", "GET /", "POST /uri"])

    def test_a_storage_is_named_by_its_alias(self) -> None:
        backend = "tahoestorage.storage.TahoeStorage"
        options = {"tahoe_base_url": NOBODY, "tahoe_base_cap": self.cap}
        self.override(
            TAHOE_STORAGE_BASE_URL=self.gateway,
            TAHOE_STORAGE_BASE_CAP=self.cap,
            STORAGES={
                "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
                "away": {"BACKEND": backend, "OPTIONS": options},
                "memory": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
            },
        )
        self.assertTrue(health().is_ok)
        self.assertFalse(health("away").is_ok)
        for wrong in ("memory", "typo"):
            self.assertRaises(ImproperlyConfigured, health, wrong)
        self.override(TAHOE_STORAGE_BASE_CAP=None)
        self.assertRaises(ImproperlyConfigured, health)

    def test_ahealth_answers_in_an_event_loop(self) -> None:
        async def both() -> list[StorageHealth]:
            away = self.new_storage(tahoe_base_url=NOBODY)
            return list(await asyncio.gather(ahealth(self.storage), ahealth(away)))

        self.assertEqual([found.is_ok for found in asyncio.run(both())], [True, False])


class SiteTestCase(HealthTestCase):
    """A site whose gateway can go away, and which tells by django-health-check how it is."""

    def setUp(self) -> None:
        super().setUp()
        self.proxy = Proxy(self.gateway).__enter__()
        self.addCleanup(self.proxy.__exit__)
        self.override(
            ROOT_URLCONF="tests.tahoestorage.health_urls",
            TAHOE_STORAGE_BASE_URL=self.proxy.url,
            TAHOE_STORAGE_BASE_CAP=self.cap,
            TAHOE_PUBLIC_BASE_URL="/a/path/of/this/site/",
            STORAGES={"default": {"BACKEND": "tahoestorage.storage.TahoeStorage"}},
        )

    def ask(self, path: str = "/health/") -> tuple[int, dict[str, Any]]:
        answer = Client(raise_request_exception=False).get(path, {"format": "json"})
        return answer.status_code, answer.json()


class HealthChecks(SiteTestCase):
    def test_a_healthy_storage_is_200(self) -> None:
        self.assertEqual(self.ask(), (200, {"TahoeHealthCheck(alias='default')": "OK"}))

    def test_a_gateway_that_is_away_is_500(self) -> None:
        self.proxy.refuse()
        with self.assertLogs("health_check", "WARNING"):
            status, told = self.ask()
        self.assertEqual(status, 500)
        self.assertIn("no Tahoe-LAFS gateway can be reached at", str(told))

    def test_an_unknown_alias_is_an_error(self) -> None:
        with self.assertLogs("health_check", "WARNING"):
            status, told = self.ask("/health/of-nothing/")
        self.assertEqual(status, 500)
        self.assertIn("'missing'", str(told))


@needs(GRID, TIME)
class ServersAway(SiteTestCase):
    def stop(self, server: Server) -> None:
        self.addCleanup(server.start)
        server.stop()
        self.grid.wait_ready()

    def test_a_site_is_healthy_without_one_server_of_three_and_not_without_two(self) -> None:
        self.addCleanup(self.grid.wait_ready)
        first, second, _ = self.grid.servers

        self.stop(first)
        found = health()
        self.assertTrue(found.is_ok)
        self.assertEqual(self.kinds(found), ["servers"])
        self.assertIn(
            f"2 of the 3 storage servers that it knows, and not to {first.name!r}", str(found)
        )
        self.assertEqual(self.ask()[0], 200)
        self.assertEqual(self.check(), ["W102"])

        self.stop(second)
        found = health()
        self.assertFalse(found.is_ok)
        self.assertTrue(found.gateways[0].is_reachable)
        self.assertEqual(self.kinds(found), ["servers", "reading", "saving"])
        self.assertEqual((found.read_seconds, found.write_seconds), (None, None))
        with self.assertLogs("health_check", "WARNING"):
            self.assertEqual(self.ask()[0], 500)
        self.assertEqual(self.check(), ["W102", "E103", "E104"])

    def check(self) -> list[str]:
        messages = run_checks(tags=["tahoe"], include_deployment_checks=True)
        return [str(message.id).removeprefix("tahoestorage.") for message in messages]
