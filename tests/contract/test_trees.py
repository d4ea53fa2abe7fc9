"""Streams of whole trees."""

from __future__ import annotations

from typing import Any

from tests.contract.case import Place, everywhere, readonly, verifier
from tests.contract.test_checks import LITERAL_RESULT, index
from tests.contract.test_directories import LITERAL


class Tree(Place):
    """A tree with every kind of object in it."""

    def grow(self) -> None:
        self.file, self.mutable = self.upload(), self.upload(format="SDMF")
        self.below = self.mkdir({"again": self.file, "small": "URI:LIT:me"})
        immutable = {"k": ["filenode", {"ro_uri": self.file}]}
        self.immutable = self.ask("POST", body=immutable, t="mkdir-immutable").text
        self.root = self.mkdir(
            {
                "b": self.file,
                "a": self.below,
                "c": self.mutable,
                "d": LITERAL,
                "e": self.immutable,
                "r": readonly(self.mutable),
                "z": self.upload(b"x" * 101),
            }
        )
        unknown = {"u": ["filenode", {"ro_uri": "ro.unknown"}]}
        self.ask("POST", self.root, body=unknown, t="set_children")
        self.loop = self.ask("PUT", self.below, "loop", body=self.root, t="uri")

    @property
    def paths(self) -> list[tuple[list[str], str]]:
        return [
            ([], self.root),
            (["u"], "ro.unknown"),
            (["b"], self.file),
            (["c"], self.mutable),
            (["d"], LITERAL),
            (["z"], self.upload(b"x" * 101)),
            (["a"], self.below),
            (["a", "small"], "URI:LIT:me"),
            (["e"], self.immutable),
        ]

    def assertCounted(self, stats: Any) -> None:
        stats = dict(stats)
        # Times in the metadata are not always of the same length.
        for key, size in {"largest-directory": 1399, "size-directories": 2100}.items():
            self.assertApproximates(stats.pop(key), size, 10)
        self.assertEqual(
            stats,
            {
                "api-version": 1,
                "count-immutable-files": 2,
                "count-mutable-files": 1,
                "count-literal-files": 2,
                "count-files": 5,
                "count-directories": 3,
                "count-unknown": 1,
                "size-immutable-files": 1101,
                "size-literal-files": 6,
                "largest-directory-children": 8,
                "largest-immutable-file": 1000,
                "size-files-histogram": [[1, 3, 1], [4, 10, 1], [101, 316, 1], [317, 1000, 1]],
            },
        )


@everywhere
class Streams(Tree):
    def test_the_manifest_lists_every_object_and_ends_with_stats(self) -> None:
        self.grow()
        answer = self.ask("POST", self.root, t="stream-manifest")
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "text/html"))
        *lines, last = answer.lines
        self.assertEqual([(line["path"], line["cap"]) for line in lines], self.paths)
        root, unknown, file, mutable, literal, *_, immutable = lines
        self.assertEqual(
            root,
            {
                "path": [],
                "cap": self.root,
                "type": "directory",
                "verifycap": verifier(self.root),
                "repaircap": self.root,
                "storage-index": index(self.root),
            },
        )
        nothing = {"verifycap": "", "repaircap": "", "storage-index": ""}
        self.assertEqual(unknown, {**unknown, **nothing, "type": "unknown"})
        self.assertEqual(literal, {**literal, **nothing, "type": "file"})
        self.assertEqual(file["repaircap"], verifier(self.file))
        self.assertEqual(mutable["repaircap"], self.mutable)
        self.assertEqual((immutable["type"], immutable["repaircap"]), ("directory", ""))
        self.assertEqual(last["type"], "stats")
        self.assertCounted(last["stats"])

    def test_a_read_cap_gives_no_write_caps(self) -> None:
        self.grow()
        lines = self.ask("POST", readonly(self.root), t="stream-manifest").lines
        self.assertEqual(lines[0]["cap"], readonly(self.root))
        self.assertEqual(
            {line["repaircap"] for line in lines[:-1]} & {self.mutable, self.root}, set()
        )
        self.assertEqual(len(lines), 10)

    def test_the_deep_check_reports_and_repairs(self) -> None:
        self.grow()
        self.lose(self.mutable, 1)
        for query, key, inner in (
            ({"add_lease": "true"}, "check-results", ""),
            ({"repair": "true"}, "check-and-repair-results", "pre-repair-results"),
        ):
            answer = self.ask("POST", self.root, t="stream-deep-check", **query)
            *lines, last = answer.lines
            self.assertEqual([(line["path"], line["cap"]) for line in lines], self.paths)
            unhealthy = [
                line["path"]
                for line in lines
                if line["storage-index"]
                and not (line[key][inner] if inner else line[key])["results"]["healthy"]
            ]
            self.assertEqual(unhealthy, [["c"]])
            self.assertCounted(last["stats"])
        literal = {"storage-index": "", "repair-attempted": False}
        self.assertEqual(lines[4]["check-and-repair-results"], literal)
        lines = self.ask("POST", self.root, t="stream-deep-check").lines
        self.assertTrue(all(line["check-results"]["results"]["healthy"] for line in lines[:-1]))
        self.assertEqual(lines[1]["check-results"], LITERAL_RESULT)

    def test_a_lost_directory_ends_a_stream_with_an_error(self) -> None:
        self.grow()
        self.lose(self.below)
        for t in ("stream-manifest", "stream-deep-check"):
            answer = self.ask("POST", self.root, t=t)
            self.assertEqual(answer.status, 200)
            before, error = answer.text.split("ERROR: ")
            self.assertTrue(error.startswith("UnrecoverableFileError(no recoverable versions)\n"))
            # The directory is met before its children are asked for.
            self.assertEqual(len(before.splitlines()), 7)
            self.assertNotIn('"stats"', answer.text)

    def test_files_have_no_manifest(self) -> None:
        answer = self.ask("POST", self.upload(), t="stream-manifest")
        expected = (400, "POST to file: bad t=stream-manifest")
        self.assertEqual((answer.status, answer.text), expected)
