"""Changes of directories: mkdir, unlink, rename, relink; and paths that make directories."""

from __future__ import annotations

from tests.contract.case import DATA, PLAIN, Place, everywhere, kind, readonly
from tests.contract.test_directories import LITERAL, TAKEN, entry

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@everywhere
class Mkdir(Place):
    def test_mkdir_with_a_name_links_a_new_directory(self) -> None:
        cap = self.mkdir()
        children = {"k": entry(LITERAL)}
        for t, query, expected in (
            ("mkdir", {}, "DIR2"),
            ("mkdir", {"format": "MDMF"}, "DIR2-MDMF"),
            ("mkdir-with-children", {}, "DIR2"),
            ("mkdir-with-children", {"format": "MDMF"}, "DIR2-MDMF"),
            ("mkdir-immutable", {}, "DIR2-CHK"),
        ):
            name = f"{t} {query}"
            body = children if t != "mkdir" else b""
            answer = self.ask("POST", cap, body=body, t=t, name=name, **query)
            self.assertEqual(answer.status, 200)
            self.assertEqual(self.caps(cap)[name], answer.text)
            self.assertEqual(set(self.caps(answer.text)), set(body and children))
            if t != "mkdir-immutable":
                self.assertEqual(kind(answer.text), expected)

    def test_mkdir_replaces_a_child_unless_replace_is_false(self) -> None:
        cap = self.mkdir({"d": self.mkdir({"k": LITERAL})})
        answer = self.ask("POST", cap, t="mkdir", name="d", replace="false")
        self.assertEqual((answer.status, answer.text), (409, TAKEN))
        answer = self.ask("POST", cap, t="mkdir", name="d", replace="only-files")
        expected = "invalid boolean argument: b'only-files'"
        self.assertEqual((answer.status, answer.text), (400, expected))
        answer = self.ask("POST", cap, t="mkdir", name="d")
        self.assertEqual((answer.status, self.caps(cap)), (200, {"d": answer.text}))
        self.assertEqual(self.caps(answer.text), {})

    def test_mkdir_with_children_and_mkdir_immutable_replace_nothing(self) -> None:
        cap = self.mkdir({"d": self.mkdir()})
        for t in ("mkdir-with-children", "mkdir-immutable"):
            for query in ({}, {"replace": "true"}):
                answer = self.ask("POST", cap, body={}, t=t, name="d", **query)
                self.assertEqual((answer.status, answer.text), (409, TAKEN))

    def test_wrong_children_are_refused(self) -> None:
        cap = self.mkdir()
        body = {"k": entry(self.upload(format="SDMF"))}
        answer = self.ask("POST", cap, body=body, t="mkdir-immutable", name="d")
        self.assertEqual(answer.status, 400)
        self.assertTrue(answer.text.startswith("MustBeDeepImmutableError: "))
        answer = self.ask("POST", cap, body="{", headers=PLAIN, t="mkdir-with-children", name="d")
        self.assertEqual((answer.status, answer.raised), (500, "json.decoder.JSONDecodeError"))
        self.assertEqual(self.caps(cap), {})

    def test_mkdir_without_a_name_changes_nothing(self) -> None:
        cap = self.mkdir()
        for t in ("mkdir", "mkdir-with-children", "mkdir-immutable"):
            answer = self.ask("POST", cap, body={"k": entry(LITERAL)}, t=t)
            self.assertEqual((answer.status, answer.text), (200, cap))
        self.assertEqual(self.caps(cap), {})


@everywhere
class Paths(Place):
    def test_put_makes_missing_directories(self) -> None:
        cap = self.mkdir()
        answer = self.ask("PUT", cap, "a", "b", "file", body=DATA)
        self.assertEqual(answer.status, 201)
        self.assertEqual(self.ask("GET", cap, "a", "b", "file").body, DATA)
        answer = self.ask("PUT", cap, "a", "c", "link", body=LITERAL, t="uri")
        self.assertEqual((answer.status, answer.text), (200, LITERAL))
        self.assertEqual(set(self.caps(self.caps(cap)["a"])), {"b", "c"})

    def test_mkdir_by_path_makes_missing_directories(self) -> None:
        cap = self.mkdir()
        children = {"k": entry(LITERAL)}
        for method, name, t, query in (
            ("POST", "p", "mkdir", {}),
            ("PUT", "u", "mkdir", {}),
            ("POST", "m", "mkdir", {"format": "MDMF"}),
            ("POST", "c", "mkdir-with-children", {}),
            ("POST", "i", "mkdir-immutable", {}),
        ):
            body = children if t != "mkdir" else b""
            made = self.ask(method, cap, "a", name, body=body, t=t, **query)
            self.assertEqual(made.status, 200)
            self.assertEqual(set(self.caps(made.text)), set(body and children))
            # An existing directory stays as it is, and the children are ignored.
            again = self.ask(method, cap, "a", name, body={} if body else b"", t=t)
            self.assertEqual((again.status, again.text), (200, made.text))
        self.assertEqual(kind(self.caps(self.caps(cap)["a"])["m"]), "DIR2-MDMF")
        self.ask("PUT", cap, "file", body=DATA)
        answer = self.ask("POST", cap, "file", t="mkdir")
        self.assertEqual((answer.status, answer.text), (400, "POST to file: bad t=mkdir"))

    def test_delete_rename_and_check_make_no_directories(self) -> None:
        cap = self.mkdir()
        for t in ("delete", "rename", "check"):
            self.assertEqual(self.ask("POST", cap, "a", "b", t=t).status, 404)
            self.assertEqual(self.caps(cap), {})
        self.assertEqual(self.ask("POST", cap, "a", "b", t="unlink").status, 404)
        self.assertEqual(set(self.caps(cap)), {"a"})

    def test_a_file_in_the_way_is_a_conflict(self) -> None:
        cap = self.mkdir({"file": LITERAL})
        for path in (("x",), ("x", "y")):
            answer = self.ask("PUT", cap, "file", *path, body=DATA)
            self.assertEqual(answer.status, 409)
            self.assertIn("<h1>Unable to create directory 'file': a file was in", answer.text)
        answer = self.ask("GET", cap, "file", "x")
        self.assertEqual(answer.status, 400)
        self.assertIn("<h1>Files have no children named 'x'</h1>", answer.text)

    def test_some_failures_on_a_path_get_no_answer(self) -> None:
        cap = self.mkdir()
        for method, path, body, query in (
            ("PUT", (readonly(cap), "new", "file"), DATA, {}),
            ("POST", (readonly(cap), "new"), b"", {"t": "mkdir"}),
            ("POST", (cap, "new"), "{", {"t": "mkdir-with-children"}),
            ("GET", (cap, b"\xff"), b"", {}),
        ):
            answer = self.ask(method, *path, body=body, timeout=0.7, **query)
            if answer is not None:  # up to 1.19, with a page of Twisted's
                self.assertEqual(answer.status, 500)
                self.assertIn("<title>Processing Failed</title>", answer.text)


@everywhere
class Unlinking(Place):
    def test_delete_and_three_posts_unlink(self) -> None:
        file, below = self.upload(), self.mkdir()
        cap = self.mkdir(dict.fromkeys("abcd", file) | {"e": below})
        answer = self.ask("DELETE", cap, "a")
        self.assertEqual((answer.status, answer.text), (200, file))
        answer = self.ask("DELETE", cap, "e")
        self.assertEqual((answer.status, answer.text), (200, below))
        for t, name in (("unlink", "b"), ("delete", "c")):
            answer = self.ask("POST", cap, t=t, name=name)
            self.assertEqual((answer.status, answer.text), (200, "thing unlinked"))
        answer = self.ask("POST", cap, body="name=d", headers=FORM, t="unlink")
        self.assertEqual((answer.status, self.caps(cap)), (200, {}))

    def test_an_unlink_that_its_client_gave_up_comes_before_a_later_link(self) -> None:
        cap = self.mkdir({"a": self.upload()})
        self.ask("POST", cap, t="unlink", name="a", timeout=0.01)
        answer = self.ask("POST", cap, body={"a": entry(LITERAL)}, t="set_children")
        self.assertEqual((answer.status, self.caps(cap)), (200, {"a": LITERAL}))

    def test_a_link_that_its_client_gave_up_comes_before_a_later_unlink(self) -> None:
        cap = self.mkdir({"a": self.upload()})
        self.ask("POST", cap, body={"a": entry(LITERAL)}, t="set_children", timeout=0.01)
        answer = self.ask("POST", cap, t="unlink", name="a")
        self.assertEqual((answer.status, self.caps(cap)), (200, {}))

    def test_a_missing_name_is_not_found(self) -> None:
        cap = self.mkdir()
        for query, text in (({"name": "a"}, "No such child: a"), ({}, "No such child: ")):
            answer = self.ask("POST", cap, t="unlink", **query)
            self.assertEqual((answer.status, answer.text), (404, text))
            self.assertEqual(answer.headers["content-type"], "text/plain;charset=utf-8")


@everywhere
class Moving(Place):
    def test_rename_moves_a_link_and_strips_blanks(self) -> None:
        file = self.upload()
        cap = self.mkdir({"a": file})
        for old, new in (("a", "b"), (" b ", " c "), ("c", "c"), ("c", "é")):
            answer = self.ask("POST", cap, t="rename", from_name=old, to_name=new)
            self.assertEqual((answer.status, answer.text), (200, "thing moved"))
            self.assertEqual(self.caps(cap), {new.strip(): file})

    def test_rename_keeps_metadata_and_makes_new_times(self) -> None:
        cap = self.mkdir()
        body = {"a": entry(LITERAL, metadata={"x": 1})}
        self.ask("POST", cap, body=body, t="set_children")
        old = self.children(cap)["a"][1]["metadata"]
        self.ask("POST", cap, t="rename", from_name="a", to_name="b")
        new = self.children(cap)["b"][1]["metadata"]
        self.assertEqual(new["x"], 1)
        self.assertGreater(new["tahoe"]["linkcrtime"], old["tahoe"]["linkcrtime"])

    def test_relink_moves_a_link_to_another_directory(self) -> None:
        cap, below = self.mkdir({"a": LITERAL, "b": LITERAL, "c": LITERAL}), self.mkdir()
        to = self.mkdir({"below": below})
        for query in (
            {"from_name": "a", "to_dir": to},
            {"from_name": "b", "to_dir": to, "to_name": "x"},
            {"from_name": "c", "to_dir": f"{to}/below"},
        ):
            answer = self.ask("POST", cap, t="relink", **query)
            self.assertEqual((answer.status, answer.text), (200, "thing moved"))
        self.assertEqual(self.caps(cap), {})
        self.assertEqual(self.caps(to), {"below": below, "a": LITERAL, "x": LITERAL})
        self.assertEqual(self.caps(below), {"c": LITERAL})

    def test_replace_decides_about_a_taken_name(self) -> None:
        cap = self.mkdir({"file": LITERAL, "directory": self.mkdir(), "a": LITERAL})
        for replace, name in (("false", "file"), ("only-files", "directory")):
            query = {"from_name": "a", "to_name": name, "replace": replace}
            answer = self.ask("POST", cap, t="rename", **query)
            self.assertEqual((answer.status, answer.text), (409, TAKEN))
        answer = self.ask("POST", cap, t="rename", from_name="a", to_name="directory")
        self.assertEqual((answer.status, set(self.caps(cap))), (200, {"file", "directory"}))

    def test_wrong_names_and_targets_are_refused(self) -> None:
        cap = self.mkdir({"a": LITERAL})
        for t, query, status, text in (
            ("rename", {"from_name": "none", "to_name": "x"}, 404, "No such child: none"),
            ("rename", {"from_name": "a"}, 400, "to_name= is required for rename"),
            ("rename", {"to_name": "a"}, 400, "from_name= is required"),
            (
                "rename",
                {"from_name": "a/b", "to_name": "x"},
                400,
                "from_name= may not contain a slash",
            ),
            (
                "rename",
                {"from_name": "a", "to_name": "x/y"},
                400,
                "to_name= may not contain a slash",
            ),
            (
                "rename",
                {"from_name": "a", "to_name": "x", "to_dir": cap},
                400,
                "to_dir= is not valid for rename",
            ),
            ("relink", {"from_name": "a", "to_dir": LITERAL}, 400, "to_dir is not a directory"),
            ("relink", {"from_name": "a", "to_dir": f"{cap}/none"}, 404, "No such child: none"),
        ):
            answer = self.ask("POST", cap, t=t, **query)
            self.assertEqual((answer.status, answer.text), (status, text))
        answer = self.ask(
            "POST", cap, headers=PLAIN, t="relink", from_name="a", to_dir=readonly(self.mkdir())
        )
        raised = "allmydata.mutable.common.NotWriteableError"
        self.assertEqual((answer.status, answer.raised), (500, raised))
        self.assertEqual(self.caps(cap), {"a": LITERAL})
