"""What the manual of txtahoe shows works."""

from __future__ import annotations

import ast
import io
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from txtahoe.testing.fake import FakeGateway

DOCS = Path(__file__).parents[2] / "txtahoe" / "docs"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Guide(TestCase):
    def test_its_blocks_are_parts_of_one_coroutine(self) -> None:
        fake = FakeGateway()
        loopbacks = [fake.listen(), fake.listen()]
        for loopback in loopbacks:
            self.addCleanup(loopback.stop)
        gateway, second = (loopback.url for loopback in loopbacks)
        names: dict[str, Any] = {"reactor": reactor, "gateway": gateway, "second_gateway": second}

        async def run() -> None:
            for block in _BLOCK.findall((DOCS / "guide.md").read_text()):
                if not block.startswith("# "):  # a program of its own
                    code = compile(block, "guide.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                    coroutine = eval(code, names)
                    if coroutine is not None:
                        await coroutine
            await names["client"].close()

        with redirect_stdout(io.StringIO()):
            return Deferred.fromCoroutine(run())
