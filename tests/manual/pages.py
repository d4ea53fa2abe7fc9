"""
The pages of the manual, and their fenced blocks.

A ```python block is compiled, its imports are run, and it uses only names that it, or a block above
it, defines. If its first line is a comment with a path, the block is that file:

    # mysite/urls.py               the whole file
    # mysite/settings.py, at its end     more lines of a file that is there

A file of tahoestorage's manual belongs to its site (see `site`); one of txtahoe's to a program.

A ```console block has commands, `$ command`, and below each one what it prints. `…` stands for any
text. Numbers, and the blanks between columns, may differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
FOLDERS = ("tahoestorage/docs", "txtahoe/docs", ".github")
LANGUAGES = {
    *("console", "crontab", "dockerfile", "html", "http", "ini", "json"),
    *("mermaid", "nginx", "python", "text", "toml", "yaml"),
}
_BLOCK = re.compile(r"^( *)```(\S*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ((?:\w+/)*\w+\.py)(, at its end)?\n")
_CODE = re.compile(r"`[^`\n]+`")


@frozen
class Command:
    """A line `$ command` of a console block, and the text under it."""

    line: str
    output: str


@frozen
class Block:
    """A fenced block. `where` is its page and line, for messages."""

    where: str
    language: str
    code: str

    @property
    def file(self) -> str | None:
        """The path of the file that the block is, if it is one."""
        named = _FILE.match(self.code)
        return named and named[1]

    @property
    def is_at_end(self) -> bool:
        """Whether the block is added to its file."""
        named = _FILE.match(self.code)
        return bool(named and named[2])

    @property
    def commands(self) -> Iterator[Command]:
        """The commands of a console block, with backslashes at the ends of lines resolved."""
        text = self.code.replace("\\\n", " ")
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            line, _, output = part.partition("\n")
            yield Command(re.sub(r"\s+", " ", line), output)


@frozen
class Page:
    """A page of the manual."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def text(self) -> str:
        return self.path.read_text()

    @property
    def prose(self) -> str:
        """The text without its blocks."""
        return _BLOCK.sub("", self.text)

    @property
    def blocks(self) -> list[Block]:
        text = self.text
        return [
            Block(
                f"{self}:{text.count(chr(10), 0, found.start()) + 1}", found[2], _outdented(found)
            )
            for found in _BLOCK.finditer(text)
        ]

    def blocks_of(self, language: str) -> list[Block]:
        return [block for block in self.blocks if block.language == language]

    @property
    def links(self) -> list[str]:
        """The targets of the links, as they are written."""
        return re.findall(r"\]\(([^)\s]+)\)", _CODE.sub("", self.prose))

    @property
    def anchors(self) -> set[str]:
        """The anchors of the headings, as GitHub makes them."""
        found: dict[str, int] = {}
        anchors = set()
        for heading in re.findall(r"^#+ +(.+)$", self.prose, re.MULTILINE):
            slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
            number = found.get(slug, 0)
            found[slug] = number + 1
            anchors.add(f"{slug}-{number}" if number else slug)
        return anchors


def _outdented(found: re.Match[str]) -> str:
    return re.sub(f"^{found[1]}", "", found[3], flags=re.MULTILINE)


def pages() -> list[Page]:
    """All pages: the README first, then the folders in order."""
    paths = [README, *(path for folder in FOLDERS for path in sorted(ROOT.glob(f"{folder}/*.md")))]
    return [Page(path) for path in paths]


def programs() -> dict[str, str]:
    """The files of the programs of txtahoe's manual, by their paths."""
    own = [page for page in pages() if page.path.parent == ROOT / "txtahoe" / "docs"]
    blocks = [block for page in own for block in page.blocks_of("python")]
    return {block.file: block.code for block in blocks if block.file}


def write_programs(folder: Path) -> None:
    """Write each file of each program."""
    for name, code in programs().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(code)
