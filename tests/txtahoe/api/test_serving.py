"""`serve`: status, headers and bytes of answers."""

from __future__ import annotations

from urllib.parse import quote

from tests.txtahoe.api.serving_case import DATA, ServingTestCase
from txtahoe import Tree

OCTETS = "application/octet-stream"


class Whole(ServingTestCase):
    def test_a_file_comes_with_its_head(self) -> None:
        answer = self.get("file.bin")
        self.assertEqual((answer.status, answer.body), (200, DATA))
        self.assertEqual(
            answer.headers,
            {
                "accept-ranges": "bytes",
                "content-disposition": "attachment; filename*=UTF-8''file.bin",
                "content-length": str(len(DATA)),
                "content-type": OCTETS,
                "etag": f'"{self.cap.fingerprint}"',
                "x-content-type-options": "nosniff",
            },
        )

    def test_head_fetches_no_byte(self) -> None:
        expected = self.get("file.bin").headers
        self.fake.requests.clear()
        answer = self.get("file.bin", "HEAD", Range="bytes=0-1")
        self.assertEqual((answer.status, answer.body, answer.headers), (200, b"", expected))
        self.assertEqual(self.fake.requests, [])

    def test_small_empty_and_mutable_files(self) -> None:
        self.save("empty", b"")
        self.save("literal", b"in the cap")
        mutable = self.now(self.client.create_mutable(DATA))
        self.now(self.tree.link("mutable", mutable))
        for name, data in (("empty", b""), ("literal", b"in the cap"), ("mutable", DATA)):
            answer = self.get(name)
            self.assertEqual((answer.status, answer.body), (200, data))
            self.assertEqual("etag" in answer.headers, name != "mutable")

    def test_no_cap_is_in_the_answer(self) -> None:
        self.assertNotIn("URI:", str(self.get("file.bin").headers))


class Parts(ServingTestCase):
    def test_a_range_gives_that_slice_of_the_file(self) -> None:
        size = len(DATA)
        for asked, first, last in (
            ("0-0", 0, 0),
            ("5-9", 5, 9),
            ("1000000-", 1_000_000, size - 1),
            ("-7", size - 7, size - 1),
            (f"{size - 1}-{10**30}", size - 1, size - 1),
            (f"-{10**30}", 0, size - 1),
        ):
            answer = self.get("file.bin", Range=f"bytes={asked}")
            self.assertEqual((answer.status, answer.body), (206, DATA[first : last + 1]), asked)
            self.assertEqual(answer.headers["content-range"], f"bytes {first}-{last}/{size}")
            self.assertEqual(answer.headers["content-length"], str(last + 1 - first))

    def test_several_or_malformed_ranges_give_the_whole_file(self) -> None:
        for asked in (
            "bytes=0-1,4-5",
            "bytes=5-4",
            "bytes=-",
            "lines=0-1",
            "bytes=a-b",
            "bytes=+1-2",
        ):
            answer = self.get("file.bin", Range=asked)
            self.assertEqual((answer.status, len(answer.body)), (200, len(DATA)), asked)

    def test_a_range_past_the_end_is_refused(self) -> None:
        self.save("empty", b"")
        for name, size in (("file.bin", len(DATA)), ("empty", 0)):
            for asked in (f"bytes={size}-", "bytes=-0", f"bytes={10**30}-"):
                answer = self.get(name, Range=asked)
                self.assertEqual((answer.status, answer.body), (416, b""))
                self.assertEqual(answer.headers["content-range"], f"bytes */{size}")

    def test_if_range_of_another_version_gives_the_whole_file(self) -> None:
        etag = f'"{self.cap.fingerprint}"'
        for given, status in ((etag, 206), ('"other"', 200), (f"W/{etag}", 200), ("Fri, 1", 200)):
            answer = self.get("file.bin", Range="bytes=0-9", If_Range=given)
            self.assertEqual(answer.status, status, given)

    def test_a_file_that_the_client_has_is_not_sent(self) -> None:
        etag = f'"{self.cap.fingerprint}"'
        self.fake.requests.clear()
        for given in (etag, f"W/{etag}", f'"other", {etag}', f'"a" , W/"b",{etag},"c"'):
            answer = self.get("file.bin", If_None_Match=given)
            self.assertEqual((answer.status, answer.body), (304, b""), given)
            self.assertEqual(answer.headers["etag"], etag)
        self.assertEqual(self.fake.requests, [])
        for given in ('"other"', self.cap.fingerprint):
            self.assertEqual(self.get("file.bin", If_None_Match=given).status, 200)


class Types(ServingTestCase):
    def test_types_that_a_browser_cannot_run_are_shown(self) -> None:
        for name, kind in (
            ("a/b.PNG", "image/png"),
            ("a.mp3", "audio/mpeg"),
            ("a.mp4", "video/mp4"),
            ("a.txt", "text/plain"),
            ("a.pdf", "application/pdf"),
        ):
            self.save(name, b"some")
            headers = self.get(name).headers
            self.assertEqual(headers["content-type"], kind)
            self.assertTrue(headers["content-disposition"].startswith("inline; "), name)

    def test_other_types_are_attachments(self) -> None:
        for name in (
            *("a.html", "a.xhtml", "a.svg", "a.xml", "a.js", "a.mjs", "a.css", "a.mht", "a.swf"),
            *("a.json", "a.tar.gz", "a.svgz", "a", "a.unknown", "a.txt.gz", ".png"),
            *("data:image/png,a.html", "data:text/plain,a", "a.png ", "a.txt/a.html"),
        ):
            self.save(name, b"<script>alert(1)</script>")
            headers = self.get(name).headers
            self.assertEqual(headers["content-type"], OCTETS, name)
            self.assertTrue(headers["content-disposition"].startswith("attachment; "), name)
            self.assertEqual(headers["x-content-type-options"], "nosniff")
            self.now(self.tree.unlink(name))
            if "/" in name:
                self.tree = Tree(self.client, self.fake.make_directory())

    def test_any_name_is_quoted(self) -> None:
        for name in ('a "b".txt', "a;b.txt", "ä €.txt", "a\r\nSet-Cookie: b.txt", "a\\b"):
            self.save(name, b"some")
            disposition = self.get(name).headers["content-disposition"]
            self.assertEqual(disposition.partition("''")[2], quote(name, safe=""))
