"""The manual of txtahoe: its guide runs, and its reference has every public name."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

import tahoestorage
import txtahoe
from txtahoe import errors, maintenance
from txtahoe.http.request import BaseTransport
from txtahoe.testing import fake, grid

DOCS = Path(txtahoe.__file__).parent / "docs"
ROOTS = [Path(package.__file__).parent for package in (txtahoe, tahoestorage)]
_TOLD = {
    "same_host": "unix:/run/tahoe/gateway.sock",
    "on_ipv6": "http://[::1]:3456",
    "in_docker": "http://tahoe_gateway:3456",
    "secure": "https://a.internal:3457",
    "hidden": "http://gateway.onion:3456",
}
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks_of(page: str) -> list[str]:
    return _BLOCK.findall((DOCS / page).read_text())


def guide_blocks() -> list[str]:
    return blocks_of("guide.md")


class Guide(TestCase):
    def test_its_blocks_are_parts_of_one_coroutine(self) -> Deferred[None]:
        gateway = fake.FakeGateway()
        urls = {}
        for port in (3456, 3457):
            loopback = gateway.listening()
            self.addCleanup(loopback.stop)
            urls[f"http://127.0.0.1:{port}/"] = loopback.url
        names: dict[str, Any] = {"print": lambda *_: None}

        async def run() -> None:
            for block in guide_blocks():
                for shown, url in urls.items():
                    block = block.replace(shown, url)
                code = compile(block, "guide.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                coroutine = eval(code, names)
                if coroutine is not None:
                    await coroutine
            await names["client"].close()

        return Deferred.fromCoroutine(run())


ROOMS = [txtahoe, errors, maintenance]
# Members of `Transport`, `Gateways`, `Fanout` and `Security` for the project's own rooms.
INSIDE = {
    *("open", "ask", "repeat", "pause", "sleep", "is_sure", "is_too_large", "may_use", "wait"),
    *("authorization_file", "handshake", "headers"),
}
# Each method of these raises the errors that this tells of.
COMMON = f"{txtahoe.Tree.__doc__} {BaseTransport.open.__doc__}"


def public(*modules: Any) -> Iterator[tuple[str, Any]]:
    """Each public name of these modules, and each public method and property of its classes."""
    for module in modules:
        for name in getattr(module, "__all__", vars(module)):
            thing = getattr(module, name)
            is_own = str(getattr(thing, "__module__", "")).startswith("txtahoe")
            if name.startswith("_") or not is_own:
                continue
            yield name, thing
            # Not those of Twisted's own bases.
            for kind in thing.__mro__ if isinstance(thing, type) else ():
                for member, value in vars(kind).items() if "txtahoe" in kind.__module__ else ():
                    function = getattr(value, "__func__", value)
                    is_method = inspect.isfunction(function) or isinstance(function, property)
                    if is_method and not member.startswith("_"):
                        yield f"{name}.{member}", function


class Docstrings(SynchronousTestCase):
    def test_every_public_name_has_one(self) -> None:
        found = dict(public(*ROOMS))
        self.assertGreater(len(found), 150)
        self.assertEqual([name for name, thing in found.items() if not inspect.getdoc(thing)], [])

    def test_those_of_methods_that_raise_errors_of_their_own_name_them(self) -> None:
        kinds = {name for name, thing in vars(errors).items() if isinstance(thing, type)}
        silent = []
        for name, thing in public(*ROOMS):
            if inspect.isfunction(thing):
                tree = ast.parse(textwrap.dedent(inspect.getsource(thing)))
                raised = {
                    node.exc.func.id
                    for node in ast.walk(tree)
                    if isinstance(node, ast.Raise)
                    and isinstance(node.exc, ast.Call)
                    and isinstance(node.exc.func, ast.Name)
                }
                told = COMMON + str(inspect.getdoc(thing))
                silent += [(name, kind) for kind in raised & kinds if kind not in told]
        self.assertEqual(silent, [])


class Network(SynchronousTestCase):
    def test_its_blocks_run(self) -> None:
        names: dict[str, Any] = {}
        for block in blocks_of("network.md"):
            exec(block, names)
        told = {name: each.gateway.to_text() for name, each in names.items() if name in _TOLD}
        self.assertEqual(told, _TOLD)
        self.assertRaises(ValueError, names["security"].check)  # this machine has no such files


class GatewayFacts(SynchronousTestCase):
    def test_the_numbers_that_the_code_cites_are_there(self) -> None:
        text = (DOCS / "gateway.md").read_text()
        code = [path for folder in ROOTS for path in folder.rglob("*.py")]
        cited = {
            section
            for path in code
            for section in re.findall(r"docs/gateway\.md (\d+(?:\.\d+)?)", path.read_text())
        }
        self.assertGreaterEqual(cited, {"1", "2.5", "2.8"})
        for section in cited:
            chapter, _, fact = section.partition(".")
            found = text.partition(f"\n## {chapter}. ")[2].partition("\n## ")[0]
            self.assertIn(f"\n{fact}. " if fact else "\n", found, section)


class Reference(SynchronousTestCase):
    text = (DOCS / "reference.md").read_text()

    def test_it_has_every_public_name(self) -> None:
        words = set(re.findall(r"`(\w+)", self.text))
        names = {name for room in (maintenance, fake, grid) for name in room.__all__}
        names |= {part for name, _ in public(txtahoe) for part in name.split(".")}
        self.assertEqual(names - words, INSIDE)

    def test_it_has_the_fields_and_the_operations_of_events(self) -> None:
        row = next(row for row in self.text.splitlines() if row.startswith("| `Event`"))
        fields = {field.name for field in attrs.fields(txtahoe.Event)}
        self.assertEqual(set(re.findall(r"`(\w+)`", row)), {"Event", *fields})
        sentence = self.text.partition("`event.operation` is one of ")[2].partition(".\n")[0]
        # Walks and look-ups name theirs elsewhere, and statistics and transfers are pages.
        made = re.compile(r'(?:Request\(|_page\()\s*"([\w-]+)"')
        code = "".join(path.read_text() for path in (DOCS.parent / "api").glob("*.py"))
        operations = {*made.findall(code), "deep-check", "manifest", "lookup"}
        self.assertEqual(set(re.findall(r"`([\w-]+)`", sentence)), operations)

    def test_it_has_the_built_in_class_of_every_error(self) -> None:
        table = self.text.partition("## txtahoe.errors")[2].partition("\n## ")[0]
        told = {
            cells[0]: (set(cells[1:]), "Transient" in row)
            for row in table.splitlines()
            if (cells := re.findall(r"`(\w+)`", row.rpartition("|")[0].rpartition("|")[0]))
            and row.startswith("|")
        }
        found = {
            name: ({base.__name__ for base in kind.__bases__} - {"TahoeError"}, kind.transient)
            for name, kind in vars(errors).items()
            if isinstance(kind, type) and issubclass(kind, errors.TahoeError)
        }
        self.assertEqual(told, found)
