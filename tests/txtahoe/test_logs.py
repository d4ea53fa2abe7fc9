"""The log records: for what, on which level, and without caps."""

from __future__ import annotations

from logging import ERROR, INFO, WARNING, LogRecord, getLogger
from typing import Any

from tests.txtahoe.case import ClockTestCase, start
from txtahoe import Client, Gateways, Transport
from txtahoe.maintenance.writer import Writer, hand_over
from txtahoe.testing.fake import CutBody, EndMarker, Silence, Status

DATA = b"Bytes" * 100


class Records(ClockTestCase):
    def setUp(self) -> None:
        super().setUp()
        # That of tahoestorage, which a program of Twisted alone has not.
        self.patch(getLogger("txtahoe"), "filters", [])

    def logged(self, coroutine: Any, seconds: float = 0) -> list[LogRecord]:
        """The records of an operation, which may fail."""
        with self.assertLogs("txtahoe", INFO) as logs:
            start(coroutine).addErrback(lambda _: None)
            self.clock.pump([0.25] * int(seconds * 4))
        secrets = [str(self.root)[9:35]]
        for text in logs.output:
            self.assertNotIn("URI:", text)
            self.assertFalse([secret for secret in secrets if secret in text])
        return logs.records

    def test_a_repeat_is_information(self) -> None:
        self.fake.fail_next("PUT /uri", Status(503, "busy"))
        (record,) = self.logged(self.client.upload(DATA), 1)
        self.assertEqual(record.levelno, INFO)
        self.assertEqual(
            record.getMessage(), "trying again in 0.25 seconds: uploading: HTTP 503: busy"
        )

    def test_repeats_of_changes_and_downloads_are_information_too(self) -> None:
        cap = self.now(self.client.upload(DATA))
        self.fake.fail_next("*set_children", Status(502))
        (record,) = self.logged(self.client.link(self.root, "f", cap), 1)
        self.assertIn("trying again in 0.25 seconds", record.getMessage())
        self.fake.fail_next("GET /uri/CAP", CutBody(9))
        (record,) = self.logged(self.client.read(cap), 1)
        self.assertIn("trying again in 0.5 seconds", record.getMessage())

    def test_a_cap_in_the_address_of_a_gateway_is_not_shown(self) -> None:
        told: list[Any] = []
        how: Any = {"agent": self.fake.agent, "observer": told.append}
        both = Client(
            Gateways([Transport(self.clock, f"http://{h}/uri/{self.root!s}", **how) for h in "ab"])
        )
        self.fake.fail_next("*", Status(502), times=2)
        self.assertTrue(self.logged(both.status(), 1))
        self.assertEqual({event.gateway for event in told} & {None}, set())
        self.assertNotIn(str(self.root)[9:35], str(told))
        writer = Writer("http://a/", lambda url: both._transport)
        with self.assertLogs("txtahoe", WARNING) as logs:
            writer._follow(f"http://b/uri/{self.root!s}")
        self.assertNotIn(str(self.root)[9:35], str(logs.output))

    def test_a_gateway_that_is_passed_over_is_one_warning(self) -> None:
        transports = [
            Transport(self.clock, f"http://{name}/", agent=self.fake.agent) for name in ("a", "b")
        ]
        both = Client(Gateways(transports))
        self.fake.fail_next("GET /?t=json", Status(502, "away"), times=3)
        records = self.logged(both.status(), 1)
        failure = "asking for the status: HTTP 502: away"
        self.assertEqual(
            [(record.levelno, record.getMessage()) for record in records],
            [
                (WARNING, f"reads and uploads pass over http://a for 30 seconds: {failure}"),
                (INFO, f"asking the next gateway: {failure}"),
                (WARNING, f"reads and uploads pass over http://b for 30 seconds: {failure}"),
                (INFO, f"trying again in 0.25 seconds: {failure}"),
                (INFO, f"asking the next gateway: {failure}"),
            ],
        )

    def test_a_single_gateway_and_a_writer_are_not_passed_over(self) -> None:
        one, other, writing = (
            Transport(self.clock, f"http://{name}/", agent=self.fake.agent)
            for name in ("one", "other", "writer")
        )

        async def writer() -> Transport:
            return writing

        single = Client(Gateways([one]))
        several = Client(Gateways([one, other], writer=writer))
        for asking in (single.status(), several.status(changes=True)):
            self.fake.fail_next("GET /?t=json", Status(502))
            self.assertEqual([record.levelno for record in self.logged(asking, 1)], [INFO])

    def test_what_a_closed_client_ends_is_no_gateways_failure(self) -> None:
        cap = self.now(self.client.upload(DATA))
        for fault in (Silence(), EndMarker(9)):
            transports = [
                Transport(self.clock, f"http://{name}/", agent=self.fake.agent)
                for name in ("a", "b")
            ]
            both = Client(Gateways(transports))
            self.fake.fail_next("GET /uri/CAP", fault)
            reading = start(both.read(cap))
            with self.assertNoLogs("txtahoe", INFO):
                self.now(both.close())
                self.clock.pump([0.25] * 8)
            self.failureResultOf(reading)

    def test_an_unknown_outcome_is_an_error(self) -> None:
        self.fake.fail_next("*set_children", Silence())
        records = self.logged(self.client.link(self.root, "f", self.root), 60)
        (record,) = records
        self.assertEqual(record.levelno, ERROR)
        self.assertRegex(record.getMessage(), "^linking 'f' in <Cap DIR2 .*may still be done later")

    def test_a_hand_over_is_two_warnings(self) -> None:
        writer = Writer("http://first/", lambda url: self.client._transport)
        writer.tree = self.tree
        self.now(writer.transport())
        start(hand_over(self.tree, self.tree, "http://second/", "http://first/", wait=60))
        told = []
        for _ in range(2):
            self.clock.pump([1] * 40)
            (record,) = self.logged(writer.transport())
            self.assertEqual(record.levelno, WARNING)
            told.append(record.getMessage())
        now = "makes the changes of directories now; before,"
        self.assertEqual(
            told,
            [f"no gateway {now} http://first/ did", f"http://second/ {now} no gateway did"],
        )
