"""Refusals of a grid, a gateway or a client: their errors, and which are repeated."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.txtahoe.case import ClockTestCase, start
from txtahoe import Cap, Client, Gateways, Link, Node, Transport, Tree
from txtahoe.errors import (
    ExistingChild,
    GatewayError,
    GatewayUnreachable,
    NotAGateway,
    NotEnoughServers,
    NotSecure,
    NoWriter,
    error_for,
)
from txtahoe.nodes import parse_child, parse_status
from txtahoe.spool import Spool
from txtahoe.testing.fake import ExceptionPage
from txtahoe.testing.fake.http.question import plain
from txtahoe.testing.fake.http.site import Exchange

DATA = bytes(range(256)) * 40
FILE = Cap.parse("URI:CHK:aaaqeayeaudaocajbifqydiob4:" + "a" * 52 + ":2:3:1000")

# As a real gateway tells of them; see txtahoe/docs/gateway.md 2.9 for the first one.
SELECTED = (
    "server selection failed for <Tahoe2ServerSelector for upload b'riogl'>: shares could be "
    "placed or found on only {placed} server(s). We were asked to place shares on at least 2 "
    "server(s) such that any 2 of them have enough shares to recover the file. (placed {placed} "
    "shares out of 3 total, want to place shares on at least 2 servers such that any 2 of them "
    "have enough shares to recover the file, sent {asked} queries to {asked} servers, {placed} "
    "queries placed some shares, {none} placed none (of which {full} placed none due to the server "
    "being full and {failed} placed none due to an error)), merged="
)
FULL = SELECTED.format(placed=0, asked=3, none=3, full=3, failed=0)
TOO_FEW = SELECTED.format(placed=1, asked=1, none=0, full=0, failed=0)
BROKEN = SELECTED.format(placed=0, asked=3, none=3, full=0, failed=3)
# As a real gateway told one of sixteen uploads of the same bytes at the same moment.
UNEVEN = (
    "shares could be placed or found on 3 server(s), but they are not spread out evenly enough to "
    "ensure that any 2 of these servers would have enough shares to recover the file."
)
UNHAPPY = "allmydata.interfaces.UploadUnhappinessError"

# The answer to `POST /uri?t=mkdir` if no storage server can write to its disk.
NO_DISK = r"""Traceback (most recent call last):
  File "/tahoe/twisted/internet/defer.py", line 1831, in _inlineCallbacks
    result = context.run(
  File "/tahoe/allmydata/mutable/filenode.py", line 154, in create_with_keys
    return await self._upload(initial_contents, None)
allmydata.mutable.common.NotEnoughServersError: ("Publish ran out of good servers, last failure was: [Failure instance: Traceback: <class 'allmydata.storage.http_client.ClientException'>: (500, b'<html><head><title>Processing Failed</title></head><body><b>Processing Failed</b></body></html>', None)\n/tahoe/twisted/internet/defer.py:1831:_inlineCallbacks\n]", None)
"""  # noqa: E501


class Unhappy(ClockTestCase):
    """Uploads for which the servers have no room."""

    def upload(self, *faults: ExceptionPage) -> Any:
        self.fake.requests.clear()
        for fault in faults:
            self.fake.fail_next("PUT /uri", fault)
        uploading = start(self.client.upload(DATA))
        self.clock.pump([0.1] * 50)
        return uploading

    def test_a_grid_with_too_few_servers_is_sent_an_upload_once(self) -> None:
        for reason in (TOO_FEW, BROKEN):
            uploading = self.upload(*[ExceptionPage(UNHAPPY, reason)] * 3)
            error = self.failureResultOf(uploading, NotEnoughServers).value
            self.assertIn("shares could be placed or found on only", str(error))
            self.assertEqual(self.fake.requests, ["PUT /uri"])
            self.fake.forget_faults()

    def test_servers_that_are_full_or_share_unevenly_are_asked_once_more(self) -> None:
        for reason in (FULL, UNEVEN):
            uploading = self.upload(ExceptionPage(UNHAPPY, reason))
            self.assertEqual(self.successResultOf(uploading).size, len(DATA))
            self.assertEqual(self.fake.requests, ["PUT /uri"] * 2)
            uploading = self.upload(*[ExceptionPage(UNHAPPY, reason)] * 3)
            self.failureResultOf(uploading, NotEnoughServers)
            self.assertEqual(self.fake.requests, ["PUT /uri"] * 2)
            self.fake.forget_faults()


class Writers(ClockTestCase):
    """A gateway that makes the changes, and cannot be reached."""

    def change_through(self, error: type[Exception]) -> tuple[Any, int]:
        attempts: list[str] = []

        class Failing(Transport):
            async def open(self, request: Any) -> Any:
                attempts.append(request.doing)
                raise error("it cannot be reached.")

        transport = Failing(self.clock, "http://writer/", agent=self.fake.agent)
        linking = start(Client(Gateways([transport])).link(self.root, "f", FILE))
        self.clock.pump([0.1] * 50)
        return self.failureResultOf(linking).value, len(attempts)

    def test_an_invalid_certificate_is_not_tried_again(self) -> None:
        error, attempts = self.change_through(NotSecure)
        self.assertIs(type(error), NotSecure)
        self.assertIn("No other gateway makes changes", str(error))
        self.assertEqual(attempts, 1)

    def test_one_that_is_away_is_tried_again(self) -> None:
        error, attempts = self.change_through(GatewayUnreachable)
        self.assertIs(type(error), GatewayUnreachable)
        self.assertEqual(attempts, 3)
        error, attempts = self.change_through(NoWriter)
        self.assertIs(type(error), NoWriter)


class Messages(SynchronousTestCase):
    def test_a_message_has_the_end_of_a_traceback(self) -> None:
        error = error_for(500, NO_DISK, "making a directory")
        self.assertIs(type(error), NotEnoughServers)
        self.assertFalse(error.transient)
        self.assertEqual(
            str(error),
            "making a directory: HTTP 500: NotEnoughServersError: Publish ran out of good servers",
        )
        error = error_for(500, NO_DISK.replace("mutable.common.NotEnoughServersError", "x.Odd"), "")
        self.assertIs(type(error), GatewayError)
        self.assertIn("allmydata.x.Odd: ", str(error))
        self.assertNotIn("File", str(error))

    def test_an_error_of_a_storage_server_does_not_hide_that_of_the_gateway(self) -> None:
        more = "\n([Failure instance: Traceback: …\nOSError: [Errno 28] No space left\n])"
        body = f"Traceback (most recent call last):\n  File …\n{UNHAPPY}: {BROKEN} {more}"
        error = error_for(500, body, "uploading")
        self.assertIs(type(error), NotEnoughServers)
        self.assertIn("due to an error)", str(error))
        self.assertNotIn("merged=", str(error))

    def test_a_page_of_markup_alone_is_read_quickly(self) -> None:
        # It takes hours to search a mebibyte of these for the ends of all that begins there.
        for page in ("<h1" * 350_000, "<" * 2**20, "<style>" * 150_000):
            page += "</h1>"
            self.assertIs(type(error_for(500, page, "testing")), GatewayError)

    def test_endless_json_in_an_error_is_an_error(self) -> None:
        body = '{"error":' * 100_000
        self.assertIs(type(error_for(409, body, "testing")), ExistingChild)


class Answer:
    """Another answer than that of the gateway."""

    def __init__(self, body: str) -> None:
        self._body = body

    def happen(self, exchange: Exchange) -> None:
        exchange.send(plain(self._body))


class StrangeJSON(ClockTestCase):
    """JSON that no gateway sends."""

    def test_json_that_is_nested_too_deeply_raises_not_a_gateway(self) -> None:
        for deep in ("[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000):
            for work in (
                lambda: self.client.list(self.root),
                lambda: self.client.info(self.root),
                lambda: self.client.status(),
                lambda: self.client.statistics(),
                lambda: self.client.check(self.root),
            ):
                self.fake.fail_next("*", Answer(deep))
                self.failureResultOf(start(work()), NotAGateway)
            self.fake.fail_next("*", Answer(f'{{"type": {deep}}}\n'))
            walk = self.now(self.client.manifest(self.root))
            self.failureResultOf(start(anext(walk)), NotAGateway)

    def test_a_list_in_place_of_an_object_raises_not_a_gateway(self) -> None:
        for work in (self.client.statistics, self.client.transfers):
            self.fake.fail_next("GET *", Answer("[1]"))
            self.failureResultOf(start(work()), NotAGateway)

    def test_strange_times_of_links_are_none(self) -> None:
        for told in ("NaN", "Infinity", "-Infinity", "1e300", "-1", "1" + "0" * 400, '"x"', "[]"):
            times = f'{{"tahoe": {{"linkmotime": {told}, "linkcrtime": {told}}}}}'
            child = f'["filenode", {{"ro_uri": "URI:LIT:nbswy3dp", "metadata": {times}}}]'
            node = parse_child(json.loads(child))
            self.assertEqual((node.created, node.modified), (None, None), told)

    def test_strange_numbers_of_servers_are_none(self) -> None:
        for told in ("NaN", "1e300", "-1", '"x"', "true", "null"):
            server = (
                f'{{"connection_status": "connected", "last_received_data": {told}, '
                f'"available_space": {told}}}'
            )
            (found,) = parse_status(json.loads(f'{{"servers": [{server}]}}')).servers
            self.assertEqual((found.available_space, found.last_seen), (None, None), told)

    def test_a_path_that_is_not_made_of_names_raises_not_a_gateway(self) -> None:
        self.fake.fail_next("*", Answer('{"type": "file", "path": [1], "cap": "URI:LIT:a"}\n'))
        walk = self.now(self.client.manifest(self.root))
        self.failureResultOf(start(anext(walk)), NotAGateway)


class Texts(ClockTestCase):
    """The text of a cap where a Cap is needed."""

    def test_every_operation_refuses_it_and_names_cap_parse(self) -> None:
        text: Any = str(self.root)
        client, root, node = self.client, self.root, Node("filenode", FILE)
        before = list(self.fake.requests)
        for work in (
            lambda: client.list(text),
            lambda: client.child(text, "f"),
            lambda: client.info(text),
            lambda: client.link(root, "f", text),
            lambda: client.link(text, "f", FILE),
            lambda: client.set_children(root, {"f": text}),
            lambda: client.mkdir({"f": text}),
            lambda: client.mkdir_immutable({"f": text}),
            lambda: client.unlink(text, "f", node),
            lambda: client.delete(text, "f"),
            lambda: client.read(text),
            lambda: client.download(text),
            lambda: client.size(text),
            lambda: client.overwrite(text, b""),
            lambda: client.write_at(text, b"", 0),
            lambda: client.check(text),
            lambda: client.deep_check(text),
            lambda: client.manifest(text),
            lambda: self.tree.link("f", text),
        ):
            error = self.failureResultOf(start(work()), TypeError).value
            self.assertIn("Cap.parse", str(error))
            self.assertNotIn("URI:", str(error))
        for make in (
            lambda: client.url(text),
            lambda: Tree(client, text),
            lambda: Link(text),
            lambda: Spool(self.mktemp(), text),
        ):
            with self.assertRaisesRegex(TypeError, "a Cap is needed, not str: Cap.parse"):
                make()
        self.assertEqual(self.fake.requests, before)


class Names(ClockTestCase):
    def test_an_empty_name_is_refused(self) -> None:
        linking = self.client.link(self.root, "", self.root)
        self.failureResultOf(start(linking), ValueError)
        self.assertEqual(self.fake.requests, [])

    def test_a_name_that_no_url_can_hold_raises_value_error_without_a_request(self) -> None:
        for operation in (self.client.child, self.client.delete):
            self.failureResultOf(start(operation(self.root, "\udc80")), ValueError)
        cap = Cap.parse("URI:LIT:me")
        for attempt in (
            self.client.set_children(self.root, {"\udc80": cap}),
            self.client.mkdir({"\udc80": cap}),
        ):
            self.failureResultOf(start(attempt), ValueError)
        self.assertEqual(self.fake.requests, [])


class Formats(ClockTestCase):
    def test_a_format_that_would_make_an_immutable_file_is_refused(self) -> None:
        wrong: Any
        for wrong in (None, "", "CHK"):
            making = self.client.create_mutable(b"x" * 100, format=wrong)
            error = self.failureResultOf(start(making), ValueError).value
            self.assertEqual(str(error), f"format is {wrong!r}: give 'SDMF' or 'MDMF'")
        self.assertEqual(self.fake.requests, [])
