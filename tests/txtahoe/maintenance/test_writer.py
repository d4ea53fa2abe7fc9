"""The writer of many hosts, on a gateway in memory with several names."""

from __future__ import annotations

from urllib.parse import urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from tests.txtahoe.case import ClockTestCase, start
from txtahoe import Cap, Client, Gateways, Transport, Tree
from txtahoe.errors import (
    AnswerLost,
    GatewayBusy,
    GatewayRefused,
    GatewayUnreachable,
    NotEnoughServers,
    NotSecure,
    NotWriteable,
    NoWriter,
    RequestTimeout,
    TahoeError,
    UncoordinatedWrite,
    UnknownOutcome,
)
from txtahoe.http.request import Request
from txtahoe.http.streams import Incoming
from txtahoe.maintenance.records import RECORDS
from txtahoe.maintenance.writer import (
    END_SECONDS,
    KNOWN_SECONDS,
    Writer,
    hand_over,
    writer_of,
)

CAP = Cap.parse("URI:LIT:me")
NAMES = ("first", "second")


class Writers(ClockTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.writes: list[str] = []
        self.away: dict[str, TahoeError] = {}
        self.slowness = 0.0
        self.tree = self.host()

    def host(self) -> Tree:
        """The tree of a host, with a gateway of its own that only reads."""
        writer = Writer("http://first/", self.connect)
        client = Client(Gateways([self.connect("http://own/")], writer=writer.transport))
        writer.tree = Tree(client, self.root)
        return writer.tree

    def connect(self, url: str) -> Transport:
        writes, away, case = self.writes, self.away, self
        name = urlsplit(url).hostname or ""

        class Noting(Transport):
            async def open(self, request: Request) -> Incoming:
                if name in away:
                    raise away[name]
                if request.changes and request.method != "GET":
                    writes.append(name)
                elif case.slowness:
                    await deferLater(self.reactor, case.slowness)
                return await super().open(request)

        return Noting(self.clock, url, agent=self.fake.agent, pauses=())

    def link(self, name: str, tree: Tree | None = None) -> None:
        self.now((tree or self.tree).link(name, CAP))

    def refuse(self, name: str) -> None:
        """Assert that a link is refused before any request."""
        before = len(self.writes)
        self.failureResultOf(start(self.tree.link(name, CAP)), NoWriter)
        self.assertEqual(len(self.writes), before)

    def begin(self, url: str = "http://second/") -> Deferred[None]:
        old, new = (Tree(Client(self.connect(f"http://{each}/")), self.root) for each in NAMES)
        self.handing = start(hand_over(old, new, url, "http://first/"))
        return self.handing

    def pass_time(self, seconds: float) -> None:
        self.clock.pump([1.0] * int(seconds))

    def test_the_first_gateway_writes_while_there_is_no_record(self) -> None:
        self.link("a")
        self.link("b")
        self.assertEqual(set(self.writes), {"first"})
        self.assertIsNone(self.now(writer_of(self.tree)))

    def test_an_old_record_is_read_again(self) -> None:
        self.begin()
        self.pass_time(KNOWN_SECONDS + END_SECONDS)
        self.link("a")
        self.fake.requests.clear()
        self.link("b")
        self.assertEqual(len(self.fake.requests), 1)
        self.pass_time(KNOWN_SECONDS + 1)
        self.link("c")
        # The root, and the directory of the record.
        self.assertEqual(self.fake.requests.count("GET /uri/CAP?t=json"), 2)

    def test_two_gateways_never_write_at_once(self) -> None:
        other = self.host()
        self.link("a")
        self.begin()
        self.pass_time(KNOWN_SECONDS - 1)
        self.link("b")  # it has not read the record yet
        self.failureResultOf(start(other.link("c", CAP)), NoWriter)
        self.pass_time(2)
        for _ in range(int(END_SECONDS) - 2):
            self.refuse("d")
            self.pass_time(1)
        self.assertNoResult(self.handing)
        self.pass_time(KNOWN_SECONDS)
        self.successResultOf(self.handing)
        written = len(self.writes)
        self.link("d")
        self.link("e", other)
        self.assertEqual(set(self.writes[written:]), {"second"})
        self.assertEqual(set(self.now(self.tree.list(""))), {"a", "b", "d", "e"})
        told = self.now(writer_of(other))
        assert told is not None
        self.assertEqual((told.url, told.before), ("http://second/", "http://first/"))

    def test_the_old_gateway_writes_that_nobody_makes_changes(self) -> None:
        self.begin()
        self.assertEqual(set(self.writes), {"first"})
        self.pass_time(KNOWN_SECONDS + END_SECONDS)
        self.successResultOf(self.handing)
        self.assertEqual(self.writes[-1], "second")

    def test_the_new_gateway_writes_that_if_the_old_one_is_away(self) -> None:
        self.away["first"] = GatewayRefused("it does not run")
        self.begin()
        self.assertEqual(set(self.writes), {"second"})
        self.pass_time(KNOWN_SECONDS + END_SECONDS)
        self.successResultOf(self.handing)
        self.link("a")
        self.assertEqual(self.writes[-1], "second")

    def test_nothing_is_handed_over_if_the_old_gateway_may_still_write(self) -> None:
        self.link("a")
        for trouble in (
            RequestTimeout("it does not answer"),
            AnswerLost("the connection broke"),
            GatewayUnreachable("no route"),
            NotSecure("no certificate"),
            GatewayBusy("its proxy answers"),
            NotEnoughServers("it sees one server"),
        ):
            self.writes.clear()
            self.away["first"] = trouble
            self.begin()
            self.pass_time(KNOWN_SECONDS + END_SECONDS)
            error = self.failureResultOf(self.handing, UnknownOutcome).value
            self.assertIn(str(trouble), str(error))
            self.assertIn("http://first/ may still make changes", str(error))
            self.assertEqual(self.writes, [])
        self.away.clear()
        self.link("b")
        self.assertEqual(set(self.writes), {"first"})

    def test_a_read_cap_hands_nothing_over(self) -> None:
        reader = Tree(self.client, self.root.reader)
        handing = start(hand_over(reader, reader, "http://second/", "http://first/"))
        self.failureResultOf(handing, NotWriteable)

    def test_one_of_two_simultaneous_calls_fails(self) -> None:
        one = self.begin()
        self.pass_time(10)
        other = self.begin()
        self.pass_time(KNOWN_SECONDS + END_SECONDS - 10)
        self.failureResultOf(one, UncoordinatedWrite)
        self.refuse("a")
        self.pass_time(KNOWN_SECONDS + 1)
        self.successResultOf(other)
        self.link("a")

    def test_an_interrupted_call_can_be_repeated(self) -> None:
        self.begin()
        self.handing.cancel()
        self.failureResultOf(self.handing)
        self.pass_time(1000)
        self.refuse("a")
        self.begin()
        self.pass_time(KNOWN_SECONDS + END_SECONDS)
        self.successResultOf(self.handing)
        self.link("a")
        self.assertEqual(self.writes[-1], "second")

    def test_nothing_is_written_if_the_record_cannot_be_read(self) -> None:
        self.begin()
        self.pass_time(KNOWN_SECONDS + END_SECONDS)
        self.link("a")
        self.fake.lose(self.now(self.tree.resolve([RECORDS])).cap)
        self.pass_time(KNOWN_SECONDS + 1)
        written = len(self.writes)
        self.failureResultOf(start(self.tree.link("b", CAP)), NoWriter)
        self.assertEqual(len(self.writes), written)

    def test_nothing_is_written_on_a_look_that_took_too_long(self) -> None:
        self.slowness = KNOWN_SECONDS + 1
        linked = start(self.tree.link("a", CAP))
        self.pass_time(10 * KNOWN_SECONDS)
        error = self.failureResultOf(linked, NoWriter).value
        self.assertIn("the answer took more than 20 seconds", str(error))
        self.assertEqual(self.writes, [])
        self.slowness = 0.0
        self.link("a")

    def test_an_invalid_url_is_refused_before_the_record_changes(self) -> None:
        self.begin("second")
        self.failureResultOf(self.handing, ValueError)
        self.link("a")

    def say(self, told: dict[str, object]) -> None:
        self.now(self.tree.link([RECORDS, "writer"], CAP, metadata=told, replace="only-files"))

    def test_a_record_with_an_invalid_url_stops_all_changes(self) -> None:
        self.say({"txtahoe-writer": {"url": "second"}})
        self.pass_time(KNOWN_SECONDS + 1)
        self.refuse("a")

    def test_a_record_of_another_form_counts_as_none(self) -> None:
        for strange in ({}, {"txtahoe-writer": 3}, {"txtahoe-writer": ["http://x/"]}):
            self.say(strange)
            self.assertIsNone(self.now(writer_of(self.host())))
        self.pass_time(KNOWN_SECONDS + 1)
        self.link("a")
        self.assertEqual(self.writes[-1], "first")
