"""Directories: their JSON and pages, and the requests that put children into them."""

from __future__ import annotations

import time
from typing import Any

from tests.contract.case import DATA, PLAIN, Place, everywhere, kind, readonly, verifier
from txtahoe.caps import Cap

TAKEN = "There was already a child by that name, and you asked me to not replace it."
DONE = "Okay so I did it."
NOT_WRITEABLE = "allmydata.mutable.common.NotWriteableError"
LITERAL = "URI:LIT:nbswy3dp"


def entry(cap: str, **more: Any) -> list[Any]:
    """A child in the JSON of a request."""
    return ["filenode", {"rw_uri" if Cap.parse(cap).is_writable else "ro_uri": cap, **more}]


@everywhere
class NewDirectories(Place):
    def test_mkdir_makes_the_format_that_is_asked_for(self) -> None:
        for method, query, expected in (
            ("POST", {}, "DIR2"),
            ("PUT", {}, "DIR2"),
            ("POST", {"format": "SDMF"}, "DIR2"),
            ("POST", {"format": "MDMF"}, "DIR2-MDMF"),
        ):
            answer = self.ask(method, t="mkdir", **query)
            self.assertEqual((answer.status, kind(answer.text)), (200, expected))
            self.assertEqual(answer.headers["content-type"], "text/html")
            self.assertEqual(self.children(answer.text), {})

    def test_mkdir_refuses_wrong_formats_and_bodies(self) -> None:
        for method, query, body, text in (
            ("POST", {"format": "CHK"}, b"", "format=CHK not currently accepted for POST"),
            ("PUT", {"format": "CHK"}, b"", "format=CHK not accepted for PUT"),
            ("POST", {}, b"{}", "t=mkdir does not accept children=, try t=mkdir-with-children"),
        ):
            answer = self.ask(method, body=body, t="mkdir", **query)
            self.assertEqual(answer.status, 400)
            self.assertTrue(answer.text.startswith(text))

    def test_mkdir_with_children_keeps_their_metadata(self) -> None:
        # The times too are as given, or absent.
        metadata = {"x": 1, "tahoe": {"linkcrtime": 1.5, "linkmotime": 2.5}}
        body = {"a": entry(LITERAL, metadata=metadata), "e\u0301": entry(LITERAL)}
        answer = self.ask("POST", body=body, t="mkdir-with-children", format="MDMF")
        # format= is ignored.
        self.assertEqual((answer.status, kind(answer.text)), (200, "DIR2"))
        told = {"mutable": False, "format": "CHK", "size": 5, "ro_uri": LITERAL}
        self.assertEqual(
            self.children(answer.text),
            {
                "a": ["filenode", {**told, "metadata": metadata}],
                "é": ["filenode", {**told, "metadata": {}}],
            },
        )
        answer = self.ask("POST", body="{", headers=PLAIN, t="mkdir-with-children")
        self.assertEqual((answer.status, answer.raised), (500, "json.decoder.JSONDecodeError"))

    def test_mkdir_immutable_makes_equal_directories_of_equal_children(self) -> None:
        big = self.upload()
        for children, expected in (
            ({}, "DIR2-LIT"),
            ({"k": entry("URI:LIT:me")}, "DIR2-LIT"),
            ({"k": entry(big)}, "DIR2-CHK"),
        ):
            answer = self.ask("POST", body=children, t="mkdir-immutable")
            self.assertEqual((answer.status, kind(answer.text)), (200, expected))
            again = self.ask("POST", body=children, t="mkdir-immutable")
            self.assertEqual(answer.text, again.text)
            self.assertEqual(set(self.children(answer.text)), set(children))
        self.assertTrue(answer.text.endswith(":2:3:117"))
        cap = self.ask("POST", body={"k": entry("URI:LIT:me")}, t="mkdir-immutable").text
        self.assertEqual(cap, "URI:DIR2-LIT:gi3dumj2nmwdcmb2kvjesosmjfkdu3lffqydulbshj5x2lbm")
        self.assertEqual(self.ask("GET", cap, "k").body, b"a")

    def test_mkdir_immutable_refuses_mutable_children(self) -> None:
        for child in (
            entry(self.upload(format="SDMF")),
            entry(readonly(self.mkdir())),
            ["filenode", {"rw_uri": "new", "ro_uri": "unknown"}],
        ):
            answer = self.ask("POST", body={"k": child}, t="mkdir-immutable")
            self.assertEqual(answer.status, 400)
            self.assertTrue(answer.text.startswith("MustBeDeepImmutableError: a cap passed to"))

    def test_unknown_caps_in_immutable_directories_count_as_immutable(self) -> None:
        children = {
            given: ["filenode", {"ro_uri": given}] for given in ("new", "ro.new", "imm.new")
        }
        cap = self.ask("POST", body=children, t="mkdir-immutable").text
        self.assertEqual(set(self.caps(cap).values()), {"imm.new"})
        cap = self.ask("POST", body=children, t="mkdir-with-children").text
        expected = {"new": "ro.new", "ro.new": "ro.new", "imm.new": "imm.new"}
        self.assertEqual(self.caps(cap), expected)


@everywhere
class Reports(Place):
    def test_the_json_of_a_directory_depends_on_the_cap(self) -> None:
        for query in ({}, {"format": "MDMF"}):
            cap = self.ask("POST", t="mkdir", **query).text
            read = {"ro_uri": readonly(cap), "verify_uri": verifier(cap), "mutable": True}
            for asked, told in ((cap, {**read, "rw_uri": cap}), (readonly(cap), read)):
                answer = self.ask("GET", asked, t="json")
                self.assertEqual(answer.json, ["dirnode", {"children": {}, **told}])
                self.assertEqual(answer.headers["content-type"], "text/plain")
                self.assertEqual(answer.length, len(answer.body))
                self.assertEqual(self.ask("GET", asked, t="uri").text, asked)
                self.assertEqual(self.ask("GET", asked, t="readonly-uri").text, readonly(cap))

    def test_an_immutable_directory_has_json_and_etags(self) -> None:
        cap = self.ask("POST", body={"k": entry(self.upload())}, t="mkdir-immutable").text
        answer = self.ask("GET", cap, t="json")
        told = {"ro_uri": cap, "verify_uri": verifier(cap), "mutable": False}
        self.assertEqual({**answer.json[1], "children": None}, {"children": None, **told})
        for t in ("", "json", "uri", "readonly-uri"):
            query = {"t": t} if t else {}
            tag = f"DIR:{Cap.parse(cap).storage_index}-{t}"
            self.assertEqual(self.ask("HEAD", cap, **query).headers["etag"], tag)
            answer = self.ask("GET", cap, headers={"If-None-Match": tag}, **query)
            self.assertEqual((answer.status, answer.headers["etag"]), (304, tag))

    def test_the_json_of_children_depends_on_the_cap(self) -> None:
        mutable, below, file = self.upload(format="SDMF"), self.mkdir(), self.upload()
        cap = self.mkdir({"m": mutable, "d": below, "f": file, "r": readonly(below)})
        immutable = {"mutable": False, "format": "CHK", "size": 1000}
        uris = {
            name: {"ro_uri": readonly(child), "verify_uri": verifier(child), "metadata": {}}
            for name, child in {"m": mutable, "d": below, "f": file, "r": below}.items()
        }
        read = {
            "m": ["filenode", {"mutable": True, "format": "SDMF", **uris["m"]}],
            "d": ["dirnode", {"mutable": True, **uris["d"]}],
            "r": ["dirnode", {"mutable": True, **uris["r"]}],
            "f": ["filenode", {**immutable, **uris["f"]}],
        }
        self.assertEqual(self.children(readonly(cap)), read)
        read["m"][1]["rw_uri"], read["d"][1]["rw_uri"] = mutable, below
        self.assertEqual(self.children(cap), read)

    def test_a_directory_has_a_page_of_html(self) -> None:
        cap = self.mkdir()
        immutable = self.ask("POST", t="mkdir-immutable").text
        for asked, rights in (
            (cap, "modifiable"),
            (readonly(cap), "read-only"),
            (immutable, "immutable"),
        ):
            for path in ((asked,), (asked, "")):
                answer = self.ask("GET", *path)
                self.assertEqual((answer.status, answer.length), (200, None))
                self.assertEqual(answer.headers["content-type"], "text/html")
                index = (Cap.parse(asked).storage_index or "")[:5] or "&lt;LIT&gt;"
                title = f"<title>Tahoe-LAFS - Directory SI={index} ({rights})</title>"
                self.assertIn(title, answer.text)

    def test_a_child_is_read_by_its_name(self) -> None:
        file = self.upload()
        cap = self.mkdir({"f": file, "d": self.mkdir({"below": file}), "é": file, "a/b": file})
        for name in ("f", "é", "e\u0301", "a/b"):
            self.assertEqual(self.ask("GET", cap, name).body, DATA)
        self.assertEqual(self.ask("GET", cap, "d", "below").body, DATA)
        self.assertEqual(self.ask("GET", cap, "f", t="uri").text, file)
        told = self.ask("GET", cap, "f", t="json").json[1]
        self.assertEqual((told["ro_uri"], told["metadata"]), (file, {}))
        told = self.ask("GET", cap, "d", t="json").json[1]
        self.assertEqual((set(told["children"]), "metadata" in told), ({"below"}, False))

    def test_a_missing_child_is_not_found(self) -> None:
        cap = self.mkdir()
        for path in (("none",), ("none", "below")):
            for method, headers in (("GET", {}), ("GET", PLAIN), ("DELETE", {})):
                answer = self.ask(method, cap, *path, headers=headers)
                self.assertEqual(answer.status, 404)
                self.assertIn("<p>No such child: none</p>", answer.text)
                self.assertEqual(answer.headers["content-type"], "text/html; charset=utf-8")
        answer = self.ask("GET", cap, "", "below")
        self.assertEqual(answer.status, 400)
        self.assertIn("The webapi does not allow empty pathname components", answer.text)

    def test_unknown_operations_are_refused(self) -> None:
        cap = self.mkdir()
        for method, text in {
            "GET": "GET directory: bad t=foo",
            "PUT": "PUT to a directory",
            "POST": "POST to a directory with bad t=foo",
        }.items():
            answer = self.ask(method, cap, t="foo")
            self.assertEqual((answer.status, answer.text), (400, text))
        answer = self.ask("PUT", cap, body=b"data")
        self.assertEqual((answer.status, answer.text), (400, "PUT to a directory"))
        answer = self.ask("DELETE", cap, headers=PLAIN)
        self.assertEqual((answer.status, answer.raised), (500, "builtins.AssertionError"))


@everywhere
class PutData(Place):
    def test_put_makes_or_replaces_a_child(self) -> None:
        cap = self.mkdir()
        for data, query, status in (
            (b"hello", {"replace": "false"}, 201),
            (DATA, {}, 200),
            (b"again", {"replace": "only-files"}, 200),
        ):
            answer = self.ask("PUT", cap, "a", body=data, **query)
            self.assertEqual(answer.status, status)
            self.assertEqual(self.caps(cap), {"a": answer.text})
            self.assertEqual(self.ask("GET", cap, "a").body, data)
        answer = self.ask("PUT", cap, "a", body=b"no", replace="false")
        self.assertEqual((answer.status, answer.text), (409, TAKEN))
        answer = self.ask("PUT", cap, "b", headers={"Content-Range": "bytes 0-1/2"})
        expected = (501, "Content-Range in PUT not yet supported")
        self.assertEqual((answer.status, answer.text), expected)

    def test_a_mutable_child_is_overwritten_in_place(self) -> None:
        cap = self.mkdir()
        answer = self.ask("PUT", cap, "m", body=b"0123", format="MDMF")
        self.assertEqual((answer.status, kind(answer.text)), (201, "MDMF"))
        for query, expected in (({"offset": "1"}, b"0ab3"), ({"format": "CHK"}, b"ab")):
            again = self.ask("PUT", cap, "m", body=b"ab", **query)
            self.assertEqual((again.status, again.text), (200, answer.text))
            self.assertEqual(self.ask("GET", cap, "m").body, expected)

    def test_a_directory_is_not_replaced_by_data(self) -> None:
        cap = self.mkdir({"d": self.mkdir()})
        for query in ({}, {"replace": "only-files"}):
            answer = self.ask("PUT", cap, "d", body=b"data", **query)
            self.assertEqual((answer.status, answer.text), (400, "PUT to a directory"))

    def test_a_read_cap_does_not_write(self) -> None:
        cap = self.mkdir({"a": self.upload(b"old")})
        immutable = self.ask("POST", body={"a": entry(LITERAL)}, t="mkdir-immutable").text
        for asked in (readonly(cap), immutable):
            for method, path, query in (
                ("PUT", ("new",), {}),
                ("PUT", ("a",), {}),
                ("PUT", ("new",), {"t": "uri"}),
                ("DELETE", ("a",), {}),
                ("POST", (), {"t": "unlink", "name": "a"}),
                ("POST", (), {"t": "mkdir", "name": "new"}),
                ("POST", (), {"t": "uri", "name": "new", "uri": LITERAL}),
                ("POST", (), {"t": "rename", "from_name": "a", "to_name": "b"}),
            ):
                answer = self.ask(method, asked, *path, body=LITERAL, headers=PLAIN, **query)
                self.assertEqual((answer.status, answer.raised), (500, NOT_WRITEABLE), query)
        for asked, raised in (
            (readonly(cap), "builtins.AssertionError"),
            (immutable, "builtins.AttributeError"),
        ):
            body = {"new": entry(LITERAL)}
            answer = self.ask("POST", asked, body=body, headers=PLAIN, t="set_children")
            self.assertEqual((answer.status, answer.raised), (500, raised))


@everywhere
class PutCaps(Place):
    def test_put_links_a_cap(self) -> None:
        cap, file = self.mkdir(), self.upload()
        for query, linked in (({"replace": "false"}, file), ({}, LITERAL), ({}, self.mkdir())):
            answer = self.ask("PUT", cap, "a", body=linked, t="uri", **query)
            self.assertEqual((answer.status, answer.text), (200, linked))
            self.assertEqual(self.caps(cap), {"a": linked})
        for replace in ("false", "only-files"):
            answer = self.ask("PUT", cap, "a", body=file, t="uri", replace=replace)
            self.assertEqual((answer.status, answer.text), (409, TAKEN))
        answer = self.ask("PUT", cap, "a", body=file, t="uri")
        self.assertEqual((answer.status, self.caps(cap)), (200, {"a": file}))

    def test_post_links_a_cap(self) -> None:
        cap = self.mkdir()
        answer = self.ask("POST", cap, t="uri", name="a", uri=LITERAL)
        self.assertEqual((answer.status, answer.text), (200, LITERAL))
        answer = self.ask("POST", cap, t="uri", name="a", uri=LITERAL, replace="false")
        self.assertEqual((answer.status, answer.text), (409, TAKEN))
        for query, text in (
            ({"name": "a"}, "set-uri requires a uri"),
            ({"uri": LITERAL}, "set-uri requires a name"),
        ):
            answer = self.ask("POST", cap, t="uri", **query)
            self.assertEqual((answer.status, answer.text), (400, text))

    def test_an_unknown_cap_needs_a_prefix(self) -> None:
        cap = self.mkdir()
        answer = self.ask("PUT", cap, "a", body="garbage", t="uri")
        self.assertEqual(answer.status, 400)
        self.assertTrue(answer.text.startswith("MustNotBeUnknownRWError: an operation to add a"))
        answer = self.ask("PUT", cap, "a", body="ro.garbage", t="uri")
        self.assertEqual((answer.status, answer.text), (200, "ro.garbage"))
        told = self.ask("GET", cap, "a", t="json").json
        self.assertEqual((told[0], told[1]["ro_uri"]), ("unknown", "ro.garbage"))
        self.assertIn("linkcrtime", told[1]["metadata"]["tahoe"])
        self.assertEqual(self.ask("GET", cap, "a").status, 400)


@everywhere
class SetChildren(Place):
    def change(self, cap: str, children: Any, **query: str) -> Any:
        return self.ask("POST", cap, body=children, headers=PLAIN, t="set_children", **query)

    def test_many_children_are_linked_at_once(self) -> None:
        cap, file, below = self.mkdir({"old": LITERAL}), self.upload(), self.mkdir()
        answer = self.change(cap, {"a": entry(file), "b": entry(below), "old": entry(file)})
        self.assertEqual((answer.status, answer.text, answer.length), (200, DONE, None))
        self.assertEqual(self.caps(cap), {"a": file, "b": below, "old": file})
        answer = self.ask("POST", cap, body={"c": entry(file)}, t="set-children")
        self.assertEqual((answer.status, set(self.caps(cap))), (200, {"a", "b", "c", "old"}))

    def test_one_taken_name_refuses_the_whole_batch(self) -> None:
        cap = self.mkdir({"file": LITERAL, "directory": self.mkdir()})
        before = self.caps(cap)
        for replace, taken in (("false", "file"), ("only-files", "directory")):
            children = {"new": entry(LITERAL), taken: entry(LITERAL)}
            answer = self.change(cap, children, replace=replace)
            self.assertEqual((answer.status, answer.text), (409, TAKEN))
            self.assertEqual(self.caps(cap), before)
        answer = self.change(cap, {"file": entry(self.upload())}, replace="only-files")
        self.assertEqual(answer.status, 200)
        answer = self.change(cap, {}, replace="frob")
        self.assertEqual((answer.status, answer.text), (400, "invalid replace= argument: 'frob'"))

    def test_the_argument_overwrite_is_ignored(self) -> None:
        cap = self.mkdir({"file": LITERAL})
        answer = self.change(cap, {"file": entry(self.upload())}, overwrite="false")
        self.assertEqual(answer.status, 200)

    def test_metadata_is_kept_and_times_are_set(self) -> None:
        cap = self.mkdir()
        began = time.time()
        self.change(cap, {"a": entry(LITERAL, metadata={"x": 1, "tahoe": {"y": 2}})})
        first = self.children(cap)["a"][1]["metadata"]
        made = first["tahoe"]["linkcrtime"]
        self.assertTrue(began - 1 < made < time.time() + 1)
        times = {"linkcrtime": made, "linkmotime": made}
        self.assertEqual(first, {"x": 1, "tahoe": times})
        # Without metadata the old is kept; the time of the change is not.
        self.change(cap, {"a": entry(LITERAL)})
        second = self.children(cap)["a"][1]["metadata"]
        changed = second["tahoe"]["linkmotime"]
        self.assertGreater(changed, made)
        self.assertEqual(second, {"x": 1, "tahoe": {**times, "linkmotime": changed}})
        self.change(cap, {"a": entry(LITERAL, metadata={})})
        self.assertEqual(set(self.children(cap)["a"][1]["metadata"]), {"tahoe"})

    def test_known_caps_count_in_either_place(self) -> None:
        cap, mutable = self.mkdir(), self.upload(format="SDMF")
        children = {
            "write cap as ro_uri": ["filenode", {"ro_uri": mutable}],
            "read cap as rw_uri": ["dirnode", {"rw_uri": readonly(mutable)}],
            "both": ["filenode", {"rw_uri": mutable, "ro_uri": readonly(mutable)}],
            "ro.": ["filenode", {"ro_uri": f"ro.{readonly(mutable)}"}],
            "imm.": ["filenode", {"ro_uri": f"imm.{LITERAL}"}],
        }
        self.assertEqual(self.change(cap, children).status, 200)
        self.assertEqual(
            self.caps(cap),
            {
                "write cap as ro_uri": mutable,
                "read cap as rw_uri": readonly(mutable),
                "both": mutable,
                "ro.": readonly(mutable),
                "imm.": LITERAL,
            },
        )

    def test_prefixes_that_the_cap_does_not_keep_are_refused(self) -> None:
        cap, mutable = self.mkdir(), self.upload(format="SDMF")
        for given, error in (
            (f"ro.{mutable}", "MustBeReadonlyError: "),
            (f"imm.{readonly(mutable)}", "MustBeDeepImmutableError: "),
        ):
            answer = self.change(cap, {"a": ["filenode", {"ro_uri": given}]})
            self.assertEqual(answer.status, 400)
            self.assertTrue(answer.text.startswith(error))

    def test_unknown_caps_are_kept_as_they_are(self) -> None:
        cap = self.mkdir()
        children = {
            "both": ["filenode", {"rw_uri": "foo", "ro_uri": "bar"}],
            "none": ["filenode", {}],
        }
        self.assertEqual(self.change(cap, children).status, 200)
        told = {
            name: (type_, {**told, "metadata": None})
            for name, (type_, told) in self.children(cap).items()
        }
        both = {"rw_uri": "foo", "ro_uri": "ro.bar", "metadata": None}
        self.assertEqual(told, {"both": ("unknown", both), "none": ("unknown", {"metadata": None})})
        self.assertEqual(set(self.children(readonly(cap))["both"][1]), {"ro_uri", "metadata"})
        answer = self.change(cap, {"a": ["filenode", {"rw_uri": "foo"}]})
        self.assertEqual(answer.status, 400)

    def test_json_of_a_wrong_form_is_answered_500(self) -> None:
        cap = self.mkdir()
        for body, raised in (
            ("{", "json.decoder.JSONDecodeError"),
            ("[]", "builtins.AttributeError"),
            ('{"a": ["filenode"]}', "builtins.ValueError"),
        ):
            for accept in ("text/plain", "text/html"):
                headers = {"Accept": accept}
                answer = self.ask("POST", cap, body=body, headers=headers, t="set_children")
                self.assertEqual((answer.status, answer.raised), (500, raised))

    def test_names_are_normalized_to_nfc(self) -> None:
        cap = self.mkdir()
        self.change(cap, {"e\u0301": entry(LITERAL), "a/b": entry(LITERAL), "..": entry(LITERAL)})
        self.assertEqual(set(self.caps(cap)), {"é", "a/b", ".."})
        self.assertEqual(self.change(cap, {"é": entry(LITERAL)}, replace="false").status, 409)
