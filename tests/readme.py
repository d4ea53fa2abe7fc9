"""The programs of the README: `python -m tests.readme FOLDER` writes them there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
_PROGRAM = re.compile(r"^```python\n(# (\w+\.py)\n.*?)^```$", re.MULTILINE | re.DOTALL)


def programs() -> dict[str, str]:
    """The code blocks that begin with a file's name, by that name."""
    return {name: code for code, name in _PROGRAM.findall(README.read_text())}


def write(folder: Path) -> None:
    """Write each program to a file."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, code in programs().items():
        (folder / name).write_text(code)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
