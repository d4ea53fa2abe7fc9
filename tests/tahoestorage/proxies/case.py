"""The public can read files, and do nothing else, through any web server."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote_to_bytes

from django.core.files.base import ContentFile
from django.core.management import call_command
from django.test import override_settings

from tahoestorage.storage import TahoeStorage
from tests.grid.case import make_directory
from tests.grid.shared import shared_grid
from tests.secrets.search import Secrets
from tests.tahoestorage.proxies.asking import Answer, ask, ask_raw
from tests.tahoestorage.proxies.attempts import CONTENT, HOST, attempts, caps_on, spellings
from tests.tahoestorage.proxies.recorder import Recorder
from tests.tahoestorage.proxies.servers import WebServer
from txtahoe import Cap
from txtahoe.testing.node import free_port

NAMES = [
    "é.txt",
    "e\u0301.html",
    "日本語の名前" * 40,
    "long" * 500,
    "a b+c&d=e;f,g@h$i:j!k*l(m)n'o~p_q-r.txt",
    '<[{|}]>"`^.txt',
    "50%.txt",
    "%2F%41%00.txt",
    "q?t=json#x.txt",
    "..a",
    "a..",
    "....b...",
    "@@named=",
    "x.inc",
    "x~",
    "x.tar.bz2",
    "control\n\x01\x7f.txt",
]


class PublicGatewayTests:
    """The tests of every server, for its test case to inherit."""

    server_class: type[WebServer]
    cache_control = "public, max-age=31536000, immutable"
    tells_errors_apart = True
    """Whether the page of an error never has the type of a compressed file."""
    normalises = False
    """Whether the server passes on a plainer spelling of the URL than the one it was sent, and
    refuses control characters."""

    def setUp(self) -> None:
        self.gateway = shared_grid().gateway_urls[0]
        self.caps = caps_on(self.gateway)
        self.secrets = Secrets()
        for cap in [*self.caps.all, Cap.parse(self.caps.literal)]:
            self.secrets.add(cap)

        self.is_malformed = False
        stack = ExitStack()
        self.addCleanup(stack.close)
        self.recorder = stack.enter_context(Recorder(self.gateway))
        self.server = self.server_class(Path(self.mktemp()).absolute())
        stack.callback(self.assert_no_cap_is_written)
        folder = stack.enter_context(TemporaryDirectory())
        os.chmod(folder, 0o755)  # Apache and nginx may change to another user
        by_socket = stack.enter_context(Recorder(self.gateway, f"{folder}/gateway.sock"))
        os.chmod(f"{folder}/gateway.sock", 0o777)
        sites = [
            self.configuration("socket.test", by_socket.url),
            self.configuration(HOST, self.recorder.url),
            self.configuration("prefixed.test", self.recorder.url, "a.b/c/"),
            self.configuration("away.test", f"http://127.0.0.1:{free_port()}/"),
        ]
        stack.enter_context(self.server.running("".join(sites)))

    def configuration(self, host: str, gateway: str, prefix: str = "") -> str:
        options = {"gateway": gateway, **self.server.options}
        printed = StringIO()
        with override_settings(TAHOE_PUBLIC_BASE_URL=f"https://{host}/{prefix}"):
            call_command("tahoe", "proxy", self.server.name, stdout=printed, **options)
        return printed.getvalue()

    def get(self, path: str, *, host: str = HOST, method: str = "GET", **headers: str) -> Answer:
        self.recorder.asked = b""
        return ask(self.server.port, path, host=host, method=method, **headers)

    def passed_on(self) -> bytes:
        """The first line of the last request to the gateway."""
        return self.recorder.asked.partition(b"\r\n")[0]

    def assert_no_cap_is_written(self) -> None:
        written = self.server.written()
        self.assertIn(f"{HOST}.log", written)
        if self.is_malformed:
            # The server cannot know that the request was for this site: another log has it.
            del written["access.log"]
        for name, text in written.items():
            self.assertEqual(self.secrets.found_in(text), set(), name)

    # Requests that it lets through.

    def test_a_file_has_the_type_of_its_name_and_browsers_can_keep_it(self) -> None:
        answer = self.get(f"/named/{self.caps.file}/page.html")
        self.assertEqual((answer.status, answer.body), (200, CONTENT))
        self.assertEqual(answer.headers["Content-Type"], "text/html")
        self.assertEqual(answer.headers["Cache-Control"], self.cache_control)
        self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
        self.assertEqual(answer.headers["Content-Security-Policy"], "sandbox")
        self.assertEqual(answer.headers["Referrer-Policy"], "no-referrer")
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "*")
        self.assertNotIn("Twisted", answer.headers["Server"])

    def test_head_ranges_and_conditional_requests(self) -> None:
        path = f"/named/{self.caps.file}/x.bin"
        head = self.get(path, method="HEAD")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertEqual(head.headers["Content-Length"], str(len(CONTENT)))
        for asked, start, end in (
            ("bytes=5-9", 5, 10),
            ("bytes=1000000-", 1_000_000, len(CONTENT)),
            ("bytes=-7", len(CONTENT) - 7, len(CONTENT)),
        ):
            part = self.get(path, Range=asked)
            self.assertEqual((part.status, part.body), (206, CONTENT[start:end]))
            expected = f"bytes {start}-{end - 1}/{len(CONTENT)}"
            self.assertEqual(part.headers["Content-Range"], expected)
            self.assertEqual(part.headers["Cache-Control"], self.cache_control)
        tag = part.headers["ETag"]
        again = self.get(path, If_None_Match=tag)
        self.assertEqual((again.status, again.body), (304, b""))

    def test_a_compressed_file_comes_as_it_was_saved(self) -> None:
        for name, kind in (
            ("dump.tar.gz", "application/gzip"),
            ("page.html.GZ", "application/gzip"),
            ("table.txt.bz2", "application/x-bzip"),
        ):
            path = f"/named/{self.caps.file}/{name}"
            answer = self.get(path, Accept_Encoding="gzip, bzip2")
            self.assertEqual((answer.status, answer.body), (200, CONTENT))
            part = self.get(path, Range="bytes=5-9")
            self.assertEqual((part.status, part.body), (206, CONTENT[5:10]))
            for each in (answer, part, self.get(path, method="HEAD")):
                self.assertNotIn("Content-Encoding", each.headers)
                self.assertEqual(each.headers.get_all("Content-Type"), [kind])

    def test_every_file_name_has_a_url(self) -> None:
        storage = TahoeStorage(
            tahoe_base_url=self.gateway,
            tahoe_base_cap=make_directory(self.gateway),
            base_url=f"https://{HOST}/",
        )
        names = [name for name in NAMES if name.isprintable() or not self.normalises]
        saved = storage.save_many((name, ContentFile(name.encode())) for name in names)
        for name, text in zip(saved, names, strict=True):
            path = storage.url(name).removeprefix(f"https://{HOST}")
            self.secrets.add(Cap.parse(path.split("/")[2]))
            answer = self.get(path)
            self.assertEqual((answer.status, answer.body), (200, text.encode()), name)
            asked = self.passed_on().split()[1]
            if self.normalises:
                self.assertEqual(unquote_to_bytes(asked), unquote_to_bytes(path))
            else:
                self.assertEqual(asked.decode(), path)

    def test_an_empty_file(self) -> None:
        answer = self.get("/named/URI:LIT:/nothing.txt")
        self.assertEqual((answer.status, answer.body), (200, b""))

    def test_colons_may_be_escaped(self) -> None:
        path = f"/named/{self.caps.file}/x.txt"
        self.assertEqual(self.get(path.replace(":", "%3A")).body, CONTENT)
        self.assertEqual(self.get(path.replace(":", "%3a")).body, CONTENT)

    def test_the_query_of_a_style_sheet_does_not_reach_the_gateway(self) -> None:
        path = f"/named/{self.caps.file}/font.woff"
        for query in ("?", "?v=4.7.0", "?dd67030699838ea6"):
            answer = self.get(path + query)
            self.assertEqual((answer.status, answer.body), (200, CONTENT))
            self.assertIn(f"GET {path} HTTP/1.", self.passed_on().decode())

    def test_the_url_of_a_missing_file_is_404_and_asks_no_gateway(self) -> None:
        storage = TahoeStorage(
            tahoe_base_url=self.gateway,
            tahoe_base_cap=make_directory(self.gateway),
            base_url=f"https://{HOST}/",
        )
        for name in ("a/missing.txt", "täst ?.html", "x.inc"):
            with self.assertLogs("tahoestorage", "WARNING"):
                url = storage.url(name)
            answer = self.get(url.removeprefix(f"https://{HOST}"))
            self.assertEqual((answer.status, self.recorder.asked), (404, b""), name)

    def test_a_public_address_with_a_path(self) -> None:
        path = f"/named/{self.caps.file}/x.txt"
        self.assertEqual(self.get(f"/a.b/c{path}", host="prefixed.test").body, CONTENT)
        self.assertIn(f"GET {path} HTTP/1.", self.passed_on().decode())
        for wrong in (path, f"/axb/c{path}", f"/a.b{path}", f"/a.b/c/d{path}", "/a.b/c/status"):
            self.assertGreaterEqual(self.get(wrong, host="prefixed.test").status, 400)
            self.assertEqual(self.recorder.asked, b"")

    def test_a_gateway_at_a_socket(self) -> None:
        path = f"/named/{self.caps.file}/x.txt"
        self.assertEqual(self.get(path, host="socket.test").body, CONTENT)
        self.assertGreaterEqual(self.get("/status", host="socket.test").status, 400)

    def test_the_gateway_learns_nothing_about_the_reader(self) -> None:
        answer = self.get(
            f"/named/{self.caps.file}/x.txt",
            Cookie="sessionid=personal",
            Authorization="Basic personal",
            Referer=f"https://{HOST}/personal/{self.caps.directories[0]}",
            X_HTTP_Method_Override="DELETE",
        )
        self.assertEqual((answer.status, answer.body), (200, CONTENT))
        self.assertNotIn(b"personal", self.recorder.asked)

    def test_the_access_log_has_the_method_of_each_request(self) -> None:
        for method in ("GET", "PUT", "POST", "DELETE"):
            self.get(f"/named/{self.caps.file}/x.txt", method=method, Content_Length="0")
        self.get("/status")
        log = "\n".join(self.server.log_lines(f"{HOST}.log", 5))
        # Connections may end in another order, and a server writes their lines then.
        self.assertCountEqual(
            re.findall(r" ([A-Z]+) (\d)\d\d ", log),
            [("GET", "2"), ("PUT", "4"), ("POST", "4"), ("DELETE", "4"), ("GET", "4")],
        )

    # Requests that it refuses.

    def test_nothing_else_reaches_the_gateway(self) -> None:
        self.is_malformed = True
        self.recorder.asked = b""
        for name, request in attempts(self.caps, self.recorder.url).items():
            status, answer = ask_raw(self.server.port, request)
            self.assertEqual(self.recorder.asked, b"", name)
            self.assertTrue(status is None or status >= 400, name)
            self.assertEqual(self.secrets.found_in(answer.decode("latin-1")), set(), name)

    def test_other_spellings_are_refused_or_ask_for_the_file_alone(self) -> None:
        self.is_malformed = True
        plain = re.compile(rf"GET /named/{self.caps.file}/[^/?\s]+ HTTP/1\.[01]\r\n")
        for request in spellings(self.caps):
            self.recorder.asked = b""
            status, answer = ask_raw(self.server.port, request)
            asked = self.recorder.asked.decode()
            if asked:
                self.assertEqual(status, 200, request)
                self.assertTrue(answer.endswith(CONTENT), request)
                self.assertTrue(plain.match(asked), request)
                self.assertEqual(asked.count(" HTTP/1."), 1, request)
            else:
                self.assertGreaterEqual(status, 400, request)

    def test_errors_show_no_cap_and_browsers_do_not_keep_them(self) -> None:
        cap = self.caps.file
        lost = Cap.parse(cap.replace(f":{len(CONTENT)}", f":{len(CONTENT) + 1}"))
        absurd = Cap.parse(cap.replace(":2:3:", ":0:0:"))
        for path, host, headers, expected in (
            (f"/named/{lost!s}/x.txt", HOST, {}, {410}),
            (f"/named/{lost!s}/x.gz", HOST, {}, {410}),
            (f"/named/{absurd!s}/x.txt", HOST, {}, {500}),
            (f"/named/{cap}/x.txt", HOST, {"Range": "bytes=2000000-2000001"}, {416}),
            (f"/named/{cap}/x.txt", "away.test", {}, {502, 503}),
        ):
            answer = self.get(path, host=host, Referer=f"https://{host}{path}", **headers)
            self.assertIn(answer.status, expected)
            self.assertNotIn("Cache-Control", answer.headers)
            is_page = answer.headers["Content-Type"].startswith("text/")
            self.assertEqual(is_page, self.tells_errors_apart or not path.endswith(".gz"))
            shown = answer.body.decode("latin-1")
            self.assertEqual(self.secrets.found_in(shown), set())
            for word in ("Traceback", "allmydata", "Shares", "beyond"):
                self.assertNotIn(word, shown)
