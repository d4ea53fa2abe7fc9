"""Files: upload, download, ranges, ETags, JSON, and overwriting of mutable files."""

from __future__ import annotations

import os
from urllib.parse import quote, urlsplit

from tests.contract.case import DATA, PLAIN, Place, everywhere, kind, readonly, verifier
from txtahoe.caps import Cap

POLICY = {"x-frame-options": "DENY", "referrer-policy": "no-referrer"}


def headers_of(cap: str, **more: str) -> dict[str, str]:
    """The headers of an answer with the bytes of a file."""
    parsed = Cap.parse(cap)
    tag = {} if parsed.is_mutable or parsed.literal is not None else {"etag": f"{index(cap)}-"}
    return {"content-type": "text/plain", "accept-ranges": "bytes", **POLICY, **tag, **more}


def index(cap: str) -> str | None:
    return Cap.parse(cap).storage_index


@everywhere
class Uploads(Place):
    def test_an_upload_answers_with_the_cap(self) -> None:
        for size, expected in {0: "LIT", 55: "LIT", 56: "CHK", 200_000: "CHK"}.items():
            data = os.urandom(size)
            answer = self.ask("PUT", body=data)
            self.assertEqual((answer.status, answer.length), (200, None))
            self.assertEqual(answer.headers, {"content-type": "text/html", **POLICY})
            self.assertEqual((kind(answer.text), Cap.parse(answer.text).size), (expected, size))
            self.assertEqual(self.ask("GET", answer.text).body, data)

    def test_the_same_bytes_have_the_same_cap(self) -> None:
        self.assertEqual(self.upload(), self.upload())
        self.assertNotEqual(self.upload(), self.upload(DATA + b"more"))
        self.assertTrue(self.upload().endswith(":2:3:1000"))

    def test_each_mutable_file_has_its_own_cap(self) -> None:
        for format_, expected in {"SDMF": "SSK", "sdmf": "SSK", "MDMF": "MDMF"}.items():
            caps = {self.upload(format=format_) for _ in range(2)}
            self.assertEqual({kind(cap) for cap in caps}, {expected})
            self.assertEqual(len(caps), 2)

    def test_unknown_formats_operations_and_methods_are_refused(self) -> None:
        for method, query, text in (
            ("PUT", {"format": "foo"}, "Unknown format: foo, I know CHK, SDMF, MDMF"),
            ("PUT", {"t": "foo"}, UNLINKED),
            ("POST", {"t": "foo"}, UNLINKED),
            ("PUT", {"t": "mkdir-immutable"}, UNLINKED),
        ):
            answer = self.ask(method, **query)
            self.assertEqual((answer.status, answer.text), (400, text))
            self.assertEqual(answer.headers["content-type"], "text/plain;charset=utf-8")
            self.assertEqual(answer.length, len(text))
        answer = self.ask("DELETE")
        self.assertEqual(answer.status, 501)
        self.assertIn("I don't know how to treat a DELETE request.", answer.text)
        self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")


UNLINKED = "/uri accepts only PUT, PUT?t=mkdir, POST?t=upload, and POST?t=mkdir"


@everywhere
class Downloads(Place):
    def every_file(self) -> list[str]:
        formats = ({}, {"format": "SDMF"}, {"format": "MDMF"})
        return [self.upload(**query) for query in formats]

    def test_get_answers_with_headers_and_body(self) -> None:
        for cap in [*self.every_file(), self.upload(b"hello")]:
            answer = self.ask("GET", cap)
            data = b"hello" if kind(cap) == "LIT" else DATA
            self.assertEqual((answer.status, answer.body, answer.length), (200, data, len(data)))
            self.assertEqual(answer.headers, headers_of(cap))

    def test_head_has_the_size_and_no_etag(self) -> None:
        for cap in [*self.every_file(), self.upload(b"hello")]:
            answer = self.ask("HEAD", cap)
            size = 5 if kind(cap) == "LIT" else len(DATA)
            self.assertEqual((answer.status, answer.body, answer.length), (200, b"", size))
            expected = headers_of(cap)
            expected.pop("etag", None)
            self.assertEqual(answer.headers, expected)
        self.assertEqual(self.ask("HEAD", cap, t="json").status, 400)

    def test_a_range_is_answered_206(self) -> None:
        size = len(DATA)
        for cap in self.every_file():
            for asked, first, last in (
                ("0-9", 0, 9),
                ("990-", 990, 999),
                ("990-2000", 990, 999),
                ("999-999", 999, 999),
                ("-5", 995, 999),
                ("-5000", 0, 999),
                ("0-1,4-5", 0, 1),
                (" 5-6", 5, 6),
            ):
                answer = self.ask("GET", cap, headers={"Range": f"bytes={asked}"})
                self.assertEqual((answer.status, answer.body), (206, DATA[first : last + 1]))
                self.assertEqual(answer.length, last - first + 1)
                told = {"content-range": f"bytes {first}-{last}/{size}"}
                self.assertEqual(answer.headers, headers_of(cap, **told))

    def test_a_meaningless_range_gives_the_whole_file(self) -> None:
        cap = self.upload()
        for asked in ("bytes=1000-", "bytes=5-3", "bytes=abc", "bytes=0-1,5-3", "lines=0-1", "x"):
            answer = self.ask("GET", cap, headers={"Range": asked})
            self.assertEqual((answer.status, answer.body), (200, DATA), asked)
            self.assertEqual(answer.headers, headers_of(cap))

    def test_a_range_past_the_end_is_refused(self) -> None:
        cap = self.upload()
        answer = self.ask("GET", cap, headers={"Range": "bytes=1000-1001"})
        self.assertEqual((answer.status, answer.text), (416, "First beyond end of file"))

    def test_head_and_empty_files_take_ranges(self) -> None:
        answer = self.ask("HEAD", self.upload(), headers={"Range": "bytes=0-9"})
        self.assertEqual((answer.status, answer.length), (206, 10))
        answer = self.ask("GET", self.upload(b""), headers={"Range": "bytes=0-"})
        self.assertEqual((answer.status, answer.body), (200, b""))

    def test_a_matching_etag_is_answered_304(self) -> None:
        cap = self.upload()
        for t in ("", "json", "uri", "readonly-uri"):
            query = {"t": t} if t else {}
            tag = f"{index(cap)}-{t}"
            self.assertEqual(self.ask("GET", cap, **query).headers["etag"], tag)
            answer = self.ask("GET", cap, headers={"If-None-Match": tag}, **query)
            self.assertEqual((answer.status, answer.body), (304, b""))
            self.assertEqual(answer.headers, {"etag": tag, **POLICY})
        answer = self.ask("GET", cap, headers={"If-None-Match": f'"{tag}"'})
        self.assertEqual((answer.status, answer.body), (200, DATA))

    def test_a_name_decides_the_content_type(self) -> None:
        cap, directory = self.upload(), self.mkdir({"a.tar.gz": self.upload()})
        attached = {"content-disposition": 'attachment; filename="x.png"'}
        for path, query, more in (
            (("named", cap, "x.html"), {}, {"content-type": "text/html"}),
            (("file", cap, "x.png"), {}, {"content-type": "image/png"}),
            (("named", cap), {}, {}),
            (("named", cap, "x.png", "last.html"), {}, {"content-type": "text/html"}),
            (("named", cap, "x.txt.gz"), {}, {"content-encoding": "gzip"}),
            (("named", cap, "x.tar.gz"), {}, {"content-encoding": "gzip"}),
            ((cap,), {"filename": "x.png"}, {"content-type": "image/png"}),
            (
                ("named", cap, "x.png"),
                {"save": "true"},
                {"content-type": "image/png", **attached},
            ),
            ((directory, "a.tar.gz"), {}, {"content-encoding": "gzip"}),
        ):
            # The body is not compressed, although the header says so.
            answer = self.ask("HEAD", *path, **query)
            expected = headers_of(cap, **more)
            del expected["etag"]
            self.assertEqual((answer.status, answer.headers), (200, expected), path)
        self.assertEqual(self.ask("GET", "named", cap, "x").body, DATA)
        self.assertEqual(self.ask("GET", "cap", cap).body, DATA)

    def test_named_reads_files_only(self) -> None:
        for method, path, status, text in (
            ("GET", (), 404, "/file must be followed by a file-cap and a name"),
            ("GET", ("URI:DIR2-LIT:", "x"), 400, "<p>b'URI:DIR2-LIT:' is not a file-cap</p>"),
            ("PUT", (self.upload(), "x"), 400, "<p>/file can only be used with GET or HEAD</p>"),
        ):
            answer = self.ask(method, "named", *path)
            self.assertEqual(answer.status, status)
            self.assertIn(text, answer.text)


@everywhere
class Redirects(Place):
    """`GET /uri?uri=CAP`, by which magic-folder downloads."""

    def test_a_cap_in_the_query_leads_to_its_url(self) -> None:
        immutable, mutable = self.upload(), self.upload(format="SDMF")
        for cap in (immutable, mutable, verifier(mutable), self.mkdir(), f"ro.{immutable}"):
            for method in ("GET", "HEAD"):
                answer = self.ask(method, uri=cap)
                self.assertEqual(answer.status, 302)
                self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")
                location = urlsplit(answer.headers["location"])
                self.assertEqual((location.scheme, location.query), ("http", ""))
                self.assertEqual(location.path, f"/uri/{quote(cap, safe='')}")

    def test_the_rest_of_the_query_goes_along(self) -> None:
        cap = self.upload()
        answer = self.ask("GET", "cap", t="json", uri=cap, filename="a.txt")
        self.assertEqual((answer.status, answer.length), (302, None))
        location = urlsplit(answer.headers["location"])
        self.assertEqual(location.path, f"/cap/{quote(cap, safe='')}")
        self.assertEqual(location.query, "t=json&filename=a.txt")

    def test_a_text_that_is_no_cap_is_refused(self) -> None:
        requires = "GET /uri requires uri="
        for query, text in (
            ({}, requires),
            ({"t": "json"}, requires),
            ({"uri": ""}, "Invalid capability"),
            ({"uri": "URI:CHK:garbage"}, "Invalid capability"),
            ({"uri": "lafs://from-the-future"}, "Invalid capability"),
            ({"uri": f" {self.upload()}"}, "Invalid capability"),
        ):
            answer = self.ask("GET", **query)
            self.assertEqual((answer.status, answer.text), (400, text))
            self.assertEqual(answer.headers["content-type"], "text/plain;charset=utf-8")

    def test_a_slash_after_uri_is_dropped(self) -> None:
        for place in ("/uri", "/cap"):
            for query in ("", "?uri=URI%3ALIT%3Anbswy3dp&t=json"):
                answer = self.exchange("GET", f"{place}/{query}", b"", {}, 30)
                self.assertEqual(answer.status, 302)
                self.assertEqual(answer.headers["location"], f"{place}{query}")


@everywhere
class SlashesAtTheEnd(Place):
    def test_files_have_no_child_without_a_name(self) -> None:
        directory = self.mkdir({"f": self.upload()})
        for path in ((self.upload(),), (self.upload(format="SDMF"),), (directory, "f")):
            for method in ("GET", "DELETE"):
                answer = self.ask(method, *path, "", t="json")
                self.assertEqual(answer.status, 400)
                self.assertIn("<h1>Files have no children named ''</h1>", answer.text)
            self.assertEqual(self.ask("HEAD", *path, "").status, 400)
        answer = self.ask("PUT", directory, "f", "", body=b"x")
        self.assertEqual(answer.status, 409)
        self.assertIn("<h1>Unable to create directory 'f': a file was in the way", answer.text)

    def test_directories_ignore_the_slash(self) -> None:
        directory = self.mkdir({"f": self.upload()})
        for path in ((), ("new",)):
            self.assertEqual(self.ask("POST", directory, *path, "", t="mkdir").status, 200)
            self.assertEqual(self.ask("GET", directory, *path, "", t="json").json[0], "dirnode")
        answer = self.ask("PUT", directory, "newer", "", body=b"x")
        self.assertEqual((answer.status, answer.text), (400, "PUT to a directory"))
        self.assertEqual(set(self.children(directory)), {"f", "new", "newer"})

    def test_unknown_caps_have_no_children(self) -> None:
        for name in ("", "x"):
            for method in ("GET", "PUT", "POST"):
                answer = self.ask(method, "garbage", name)
                self.assertEqual(answer.status, 404)
                self.assertIn("<h1>No Such Resource</h1>", answer.text)


@everywhere
class Reports(Place):
    def test_the_json_of_an_immutable_file(self) -> None:
        cap = self.upload()
        answer = self.ask("GET", cap, t="json")
        told = {"mutable": False, "format": "CHK", "size": 1000}
        uris = {"ro_uri": cap, "verify_uri": verifier(cap)}
        self.assertEqual(answer.json, ["filenode", {**told, **uris}])
        self.assertEqual(answer.headers["content-type"], "text/plain")
        self.assertEqual(answer.length, len(answer.body))

    def test_the_json_of_a_literal_file(self) -> None:
        told = {"mutable": False, "format": "CHK", "size": 5, "ro_uri": "URI:LIT:nbswy3dp"}
        answer = self.ask("GET", "URI:LIT:nbswy3dp", t="json")
        self.assertEqual(answer.json, ["filenode", told])
        self.assertNotIn("etag", answer.headers)

    def test_the_json_of_a_mutable_file_depends_on_the_cap(self) -> None:
        for format_ in ("SDMF", "MDMF"):
            cap = self.upload(format=format_)
            told = {"mutable": True, "format": format_, "size": 1000}
            uris = {"ro_uri": readonly(cap), "verify_uri": verifier(cap)}
            written = self.ask("GET", cap, t="json").json
            self.assertEqual(written, ["filenode", {**told, **uris, "rw_uri": cap}])
            read = self.ask("GET", readonly(cap), t="json").json
            self.assertEqual(read, ["filenode", {**told, **uris}])

    def test_uri_and_readonly_uri_answer_with_caps(self) -> None:
        immutable, mutable = self.upload(), self.upload(format="SDMF")
        for cap, t, expected in (
            (immutable, "uri", immutable),
            (immutable, "readonly-uri", immutable),
            (mutable, "uri", mutable),
            (mutable, "readonly-uri", readonly(mutable)),
            (readonly(mutable), "uri", readonly(mutable)),
        ):
            answer = self.ask("GET", cap, t=t)
            self.assertEqual((answer.status, answer.text), (200, expected))
            self.assertEqual(answer.headers["content-type"], "text/plain")
            self.assertEqual(answer.length, len(expected))

    def test_a_text_that_is_no_cap_is_unknown(self) -> None:
        verify_only = verifier(self.upload(format="SDMF"))
        for cap in ("garbage", "URI:CHK:garbage", "URI:NEW:garbage", verify_only):
            answer = self.ask("GET", cap, t="json")
            self.assertEqual((answer.status, answer.json), (200, ["unknown", {}]))
            self.assertEqual(self.ask("PUT", cap, body=b"x").status, 501)
        for cap in ("garbage", verify_only, verifier(self.upload())):
            answer = self.ask("GET", cap)
            self.assertEqual(answer.status, 400)
            self.assertIn("GET unknown URI type: can only do t=info and t=json", answer.text)

    def test_unknown_operations_are_refused(self) -> None:
        cap = self.upload()
        for method, text in {
            "GET": "GET file: bad t=foo",
            "PUT": "PUT to a file: bad t=foo",
            "POST": "POST to file: bad t=foo",
        }.items():
            answer = self.ask(method, cap, t="foo")
            self.assertEqual((answer.status, answer.text), (400, text))

    def test_files_have_no_children(self) -> None:
        cap = self.upload()
        answer = self.ask("GET", cap, "x")
        self.assertEqual(answer.status, 400)
        self.assertIn("<h1>Files have no children named 'x'</h1>", answer.text)
        answer = self.ask("PUT", cap, "x")
        self.assertEqual(answer.status, 409)
        self.assertIn("<h1>Cannot create directory 'x', because its parent is a file", answer.text)
        self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")


@everywhere
class Overwriting(Place):
    def test_put_replaces_the_contents(self) -> None:
        for format_ in ("SDMF", "MDMF"):
            cap = self.upload(format=format_)
            answer = self.ask("PUT", cap, body=b"new contents")
            self.assertEqual((answer.status, answer.text), (200, cap))
            self.assertEqual(self.ask("GET", readonly(cap)).body, b"new contents")

    def test_put_with_an_offset_replaces_a_part(self) -> None:
        for format_ in ("SDMF", "MDMF"):
            cap = self.upload(b"0123456789", format=format_)
            for offset, expected in ((0, b"XY23456789"), (4, b"XY23XY6789"), (9, b"XY23XY678XY")):
                answer = self.ask("PUT", cap, body=b"XY", offset=str(offset))
                self.assertEqual((answer.status, answer.text), (200, cap))
                self.assertEqual(self.ask("GET", cap).body, expected)

    def test_read_caps_wrong_offsets_and_immutable_files_are_refused(self) -> None:
        mutable, immutable = self.upload(format="SDMF"), self.upload()
        only_read = "PUT to a mutable file: replace or update requested with read-only cap"
        append = "PUT to a file: append operation invoked on an immutable cap"
        taken = "There was already a child by that name, and you asked me to not replace it."
        for cap, query, status, text in (
            (readonly(mutable), {}, 400, only_read),
            (mutable, {"offset": "-1"}, 400, "PUT to a mutable file: Invalid offset"),
            (mutable, {"replace": "false"}, 409, taken),
            (mutable, {"replace": "frob"}, 400, "invalid replace= argument: 'frob'"),
            (immutable, {"offset": "3"}, 400, append),
        ):
            answer = self.ask("PUT", cap, body=b"x", **query)
            self.assertEqual((answer.status, answer.text), (status, text))
        self.assertEqual(self.ask("GET", mutable).body, DATA)

    def test_other_exceptions_are_answered_500_with_a_traceback(self) -> None:
        for accept, type_ in (
            ("text/plain", "text/plain;charset=utf-8"),
            ("text/html", "text/html"),
            ("text/plain, */*", "text/html"),
        ):
            for cap, query, raised in (
                (self.upload(format="SDMF"), {"offset": "abc"}, "builtins.ValueError"),
                (self.upload(), {}, "builtins.AssertionError"),
            ):
                answer = self.ask("PUT", cap, body=b"x", headers={"Accept": accept}, **query)
                self.assertEqual((answer.status, answer.raised), (500, raised))
                self.assertEqual(answer.headers["content-type"], type_)
                self.assertEqual(answer.length is None, type_ == "text/html")
        answer = self.ask("DELETE", self.upload(), headers=PLAIN)
        self.assertEqual((answer.status, answer.raised), (500, "builtins.AssertionError"))
        self.assertTrue(answer.text.startswith("Traceback (most recent call last):\n"))
