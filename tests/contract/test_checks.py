"""Checks, repair, and the gateway's reports about itself."""

from __future__ import annotations

import time
from typing import Any

from tests.contract.case import Place, everywhere, readonly
from tests.contract.test_directories import LITERAL
from txtahoe.caps import Cap

HEALTHY = {
    "count-happiness": 3,
    "count-shares-good": 3,
    "count-shares-needed": 2,
    "count-shares-expected": 3,
    "count-good-share-hosts": 3,
    "count-corrupt-shares": 0,
    "list-corrupt-shares": [],
    "count-wrong-shares": 0,
    "count-recoverable-versions": 1,
    "count-unrecoverable-versions": 0,
    "healthy": True,
    "recoverable": True,
}
LITERAL_RESULT = {"storage-index": "", "results": {"healthy": True}}
UNRECOVERABLE = {"count-recoverable-versions": 0, "healthy": False, "recoverable": False}


def index(cap: str) -> str:
    return Cap.parse(cap).storage_index or ""


def with_shares(number: int, **more: Any) -> dict[str, Any]:
    counts = {"count-happiness", "count-shares-good", "count-good-share-hosts"}
    return {**HEALTHY, **dict.fromkeys(counts, number), "healthy": False, **more}


@everywhere
class Checks(Place):
    def check(self, cap: str, **query: str) -> Any:
        answer = self.ask("POST", cap, t="check", output="JSON", **query)
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "text/plain"))
        return answer.json

    def assertFound(self, found: Any, cap: str, summary: str, counts: Any, shares: int) -> None:
        self.assertEqual((found["storage-index"], found["summary"]), (index(cap), summary))
        results = dict(found["results"])
        servers, shares_found = results.pop("servers-responding"), results.pop("sharemap")
        self.assertEqual(results, counts)
        self.assertEqual((len(set(servers)), len(shares_found)), (3, shares))
        self.assertLessEqual(
            {host for hosts in shares_found.values() for host in hosts}, set(servers)
        )

    def test_whole_objects_are_healthy(self) -> None:
        for cap in (self.upload(), self.upload(format="SDMF"), self.mkdir()):
            for query in ({}, {"verify": "true"}, {"add_lease": "true"}):
                self.assertFound(self.check(cap, **query), cap, "Healthy", HEALTHY, 3)
            self.assertFound(self.check(readonly(cap)), cap, "Healthy", HEALTHY, 3)
            told = self.check(cap, repair="true")
            self.assertEqual((told["repair-attempted"], told["repair-successful"]), (False, False))
            for key in ("pre-repair-results", "post-repair-results"):
                self.assertFound(told[key], cap, "Healthy", HEALTHY, 3)

    def test_shares_have_names(self) -> None:
        cap = self.upload(format="SDMF")
        self.ask("PUT", cap, body=b"again")
        for asked, pattern in ((self.upload(), r"^\d$"), (cap, r"^seq2-[a-z2-7]{4}-sh\d$")):
            for name in self.check(asked)["results"]["sharemap"]:
                self.assertRegex(name, pattern)

    def test_objects_without_shares_are_healthy(self) -> None:
        for cap in (LITERAL, "URI:DIR2-LIT:"):
            for query in ({}, {"verify": "true"}, {"repair": "true"}):
                self.assertEqual(self.check(cap, **query), LITERAL_RESULT)

    def test_repair_replaces_a_lost_share(self) -> None:
        for cap, summary in (
            (self.upload(b"immutable" * 100), "Not Healthy: 2 shares (enc 2-of-3)"),
            (self.upload(format="MDMF"), "Unhealthy: 2 shares (enc 2-of-3)"),
            (self.mkdir(), "Unhealthy: 2 shares (enc 2-of-3)"),
        ):
            self.lose(cap, 1)
            self.assertFound(self.check(cap), cap, summary, with_shares(2), 2)
            told = self.check(cap, repair="true")
            self.assertEqual((told["repair-attempted"], told["repair-successful"]), (True, True))
            self.assertFound(told["pre-repair-results"], cap, summary, with_shares(2), 2)
            self.assertTrue(told["post-repair-results"]["results"]["healthy"])
            self.assertEqual(self.check(cap)["summary"], "Healthy")

    def test_a_read_cap_repairs_no_mutable_object(self) -> None:
        cap = self.upload(format="SDMF")
        self.lose(cap, 1)
        told = self.check(readonly(cap), repair="true")
        self.assertEqual((told["repair-attempted"], told["repair-successful"]), (False, False))
        self.assertFalse(told["post-repair-results"]["results"]["healthy"])

    def test_a_lost_immutable_file_is_unrecoverable(self) -> None:
        for shares, error in ((1, "NotEnoughSharesError: "), (0, "NoSharesError: ")):
            cap = self.upload(b"immutable %d" % shares * 100)
            self.lose(cap, 3 - shares)
            summary = f"Not Healthy: {shares} shares (enc 2-of-3)"
            counts = with_shares(shares, **UNRECOVERABLE, **{"count-unrecoverable-versions": 1})
            self.assertFound(self.check(cap), cap, summary, counts, shares)
            answer = self.ask("POST", cap, t="check", output="JSON", repair="true")
            self.assertEqual(answer.status, 410)
            self.assertTrue(answer.text.startswith(error))

    def test_a_lost_mutable_file_is_unrecoverable(self) -> None:
        some = "some versions are unrecoverable "
        defaults = {"count-shares-needed": 3, "count-shares-expected": 10}
        for shares, words, more in (
            (1, some, {"count-unrecoverable-versions": 1}),
            (0, "", {"count-unrecoverable-versions": 0, **defaults}),
        ):
            cap = self.upload(format="SDMF")
            self.lose(cap, 3 - shares)
            summary = f"Unhealthy: {words}no versions are recoverable"
            counts = with_shares(shares, **UNRECOVERABLE, **more)
            self.assertFound(self.check(cap), cap, summary, counts, shares)
            told = self.check(cap, repair="true")
            self.assertEqual((told["repair-attempted"], told["repair-successful"]), (True, False))
            self.assertFound(told["post-repair-results"], cap, summary, counts, shares)

    def test_the_result_is_html_unless_json_is_asked_for(self) -> None:
        answer = self.ask("POST", self.upload(), t="check")
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "text/html"))
        self.assertIn("<title>Tahoe-LAFS - Check Results</title>", answer.text)

    def test_flags_are_booleans(self) -> None:
        for flag in ("verify", "repair", "add_lease"):
            answer = self.ask("POST", self.mkdir(), t="check", **{flag: "x"})
            self.assertEqual((answer.status, answer.text), (400, "invalid boolean argument: b'x'"))


@everywhere
class Gateway(Place):
    def test_the_welcome_page_lists_servers_as_json(self) -> None:
        answer = self.ask("GET", "", t="json")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["content-type"], "application/json; charset=utf-8")
        self.assertIsInstance(answer.json["introducers"]["statuses"], list)
        servers = answer.json["servers"]
        self.assertEqual(
            {server["nickname"] for server in servers}, {f"server-{n}" for n in (1, 2, 3)}
        )
        for server in servers:
            # Some releases say "Connected to …".
            self.assertTrue(server["connection_status"].lower().startswith("connected"))
            self.assertRegex(server["nodeid"], "^v0-[a-z2-7]{52}$")
            self.assertIsInstance(server["available_space"], int)
            self.assertIsInstance(server["last_received_data"], float)
            self.assertRegex(server["version"], r"^tahoe-lafs/1\.\d")
            self.assertEqual(len(server), 6)

    def test_the_welcome_page_is_html(self) -> None:
        answer = self.ask("GET", "")
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "text/html"))
        self.assertIn("<title>Tahoe-LAFS - Welcome</title>", answer.text)
        self.assertRegex(answer.text, r'<p class="minutia">tahoe-lafs/1\.\d[\w.]*</p>')

    def test_statistics_count_uploads(self) -> None:
        def uploaded() -> int:
            answer = self.ask("GET", "statistics", t="json")
            self.assertEqual((answer.status, answer.headers["content-type"]), (200, "text/plain"))
            self.assertGreaterEqual(answer.json["stats"]["node.uptime"], 0)
            return int(answer.json["counters"].get("uploader.files_uploaded", 0))

        before = uploaded()
        self.upload(b"%d" % time.monotonic_ns() * 10)
        self.upload(b"literal")
        self.assertEqual(uploaded(), before + 2)

    def test_status_lists_transfers(self) -> None:
        answer = self.ask("GET", "status", t="json")
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "application/json"))
        self.assertEqual(answer.json["active"], [])
        self.assertIsInstance(answer.json["recent"], list)

    def test_an_unknown_place_is_not_found(self) -> None:
        answer = self.exchange("GET", "/nothing", b"", {}, 30)
        self.assertEqual(answer.status, 404)
        self.assertIn("<h1>No Such Resource</h1>", answer.text)
