"""
A spread directory as it is on the grid: names, parts and marks, and how to tell them apart.

A *flat* directory links its names itself. A directory that has grown is *closed*: it takes no more
names. A name then belongs to the *part* for the first hexadecimal digit of its SHA-256. A part is a
directory, linked in the closed one. A part that grows is closed too; then the second digit counts,
and so on.

A *mark* is a link that says in which state a directory is (see `states`). The metadata of a link
says whether it is a part or a mark. The name never does: users may name their files as they like.

PROTOCOL.md says how a flat directory becomes a spread one while processes use it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Mapping, Sequence, Set
from hashlib import sha256
from math import inf
from secrets import token_hex
from string import hexdigits
from typing import Literal

from attrs import field, frozen

from txtahoe.caps import Cap, base32
from txtahoe.concurrency import all_of
from txtahoe.errors import NotADirectory
from txtahoe.nodes import Link, Node
from txtahoe.tree.paths import PART, Path
from txtahoe.tree.spread.states import State

Children = dict[str, Node]
# "tree": a directory below this one may be spread. The others are states of this directory.
Mark = Literal["tree", "closing", "closed"]

# The key in a link's metadata that keeps the name out of listings. A caller can look it up by name.
HIDDEN = "txtahoe-hidden"
# The key of a mark: of a directory that is "closing" or "closed", or at the root of the "tree".
_SPREAD = "txtahoe-spread"
# The key of a part: its digit.
_PART = "txtahoe-part"

DIGITS = tuple(hexdigits[:16])
# Hexadecimal digits of a SHA-256, so the depth of parts at most.
_MOST_DIGITS = 64
_NOTE = Cap.parse(f"URI:LIT:{base32(b'More names of this directory are in its parts.')}")


def digit_of(name: str, depth: int) -> str:
    """The digit of the part to which a name belongs, `depth` parts below its directory."""
    return sha256(name.encode()).hexdigest()[depth]


def onward(path: Path, way: Sequence[Cap], part: Cap) -> list[Cap]:
    """
    Extend a way, from the directory of a path through its parts, by one more part.

    Raises: NotADirectory if the part is on the way already, or the way is too long. No tree makes
    such parts, but anyone with the cap can link them.
    """
    if part in way or len(way) == _MOST_DIGITS:
        raise not_a_directory(path, "its parts lead back to it")
    return [*way, part]


def not_a_directory(path: Path, why: str) -> NotADirectory:
    """The error for a spread directory that cannot be used."""
    return NotADirectory(f"{'/'.join(path)!r} can't be used as a directory: {why}")


def part_name(digit: str, names: Container[str]) -> str:
    """
    The name of a part's link in a closed directory that still has the links `names`.

    All processes choose the same name for a digit, so that only one of them can link its part.
    """
    name = PART + digit
    while name in names:
        name += "~"
    return name


def is_like_part(name: str) -> bool:
    """
    Whether a name begins as those of parts do. Such a superseded link must stay in its directory:
    if it goes, `part_name` gives another name, and two processes can each link a part. As it stays,
    it is no stray, unless its cap is of an unknown kind: it would come back when the name is
    deleted in the part.
    """
    return name.startswith(PART)


def part_links(parts: Mapping[str, Cap], names: Container[str]) -> dict[str, Link]:
    """The links of parts, by digit, in a closed directory that still has the links `names`."""
    return {
        part_name(digit, names): Link(part, {_PART: digit, HIDDEN: True})
        for digit, part in parts.items()
    }


def mark(state: Mark) -> dict[str, Link]:
    """A mark, under a name that nobody uses."""
    return {f".tahoe-spread-{token_hex(8)}": Link(_NOTE, {_SPREAD: state, HIDDEN: True})}


def visible(children: Children) -> Children:
    """Children without the hidden ones."""
    return {name: node for name, node in children.items() if HIDDEN not in node.metadata}


@frozen
class Contents:
    """
    The links of a directory, told apart.

    `names`: links that are in force here.
    `parts`: the caps of the parts by digit; `part_links`: their names and links.
    `superseded`: names whose links here count for nothing, because a part has taken them over.
    `strays`: links that no part has taken over, because a client that does not know the protocol
    made them after the directory was closed, or because their caps are of an unknown kind. A stray
    counts if its part has no such name.
    `marks`: the names and links of the marks.
    """

    names: Children
    parts: dict[str, Cap] = field(factory=dict)
    part_links: dict[str, tuple[str, Node]] = field(factory=dict)
    superseded: frozenset[str] = frozenset()
    strays: Children = field(factory=dict)
    marks: dict[Mark, tuple[str, Node]] = field(factory=dict)

    @property
    def state(self) -> State:
        if "closed" in self.marks:
            return State.CLOSED
        return State.CLOSING if "closing" in self.marks else State.OPEN

    @property
    def is_closed(self) -> bool:
        return self.state is State.CLOSED

    @property
    def shown(self) -> Children:
        """The links that the directory itself adds to those of its parts, which come first."""
        return {**self.strays, **self.names}

    @property
    def kept(self) -> set[str]:
        """The names of all links here that are no parts and no marks."""
        return {*self.names, *self.superseded, *self.strays}

    def belonging(self, digit: str, depth: int) -> dict[str, Link]:
        """The links that a new part for a digit must take over."""
        return {
            name: Link(node.cap, node.metadata)
            for name, node in self.names.items()
            if node.cap.is_known and digit_of(name, depth) == digit
        }


def contents_of(children: Children, depth: int, path: Path = ()) -> Contents:
    """
    Tell the children of a directory apart.

    `depth`: how many parts it is below the directory that it belongs to; `path`: where that
    directory is, for errors.

    Raises: NotADirectory if it is closed and has a part for something that is no digit.
    """
    names = dict(children)
    links: dict[str, tuple[str, Node]] = {}
    marks: dict[Mark, tuple[str, Node]] = {}
    is_strange = False
    special = [n for n, node in names.items() if _PART in node.metadata or _SPREAD in node.metadata]
    # If two links claim one digit or state, every process must take the same one.
    for name in sorted(special):
        node = names.pop(name)
        digit, state = node.metadata.get(_PART), node.metadata.get(_SPREAD)
        if node.is_directory and digit in DIGITS:
            links.setdefault(digit, (name, node))
        elif state in ("tree", "closing", "closed"):
            marks.setdefault(state, (name, node))
        else:
            names[name] = node
            is_strange = is_strange or (node.is_directory and digit is not None)
    if "closed" not in marks:
        return Contents(names, marks=marks, part_links=links)
    if is_strange:
        raise not_a_directory(path, "it has a part of an unknown kind")
    closed = marks["closed"][1].modified
    since = inf if closed is None else closed
    parted = {name: node for name, node in names.items() if digit_of(name, depth) in links}
    strays = {
        name: node
        for name, node in parted.items()
        if not node.cap.is_known or ((node.created or 0) > since and not is_like_part(name))
    }
    return Contents(
        {name: node for name, node in names.items() if name not in parted},
        {digit: node.cap for digit, (_, node) in links.items()},
        links,
        frozenset(parted.keys() - strays.keys()),
        strays,
        marks,
    )


# Reads a directory, or a part, at a depth. If names are given, only they matter.
Read = Callable[[Cap, int, Set[str] | None], Awaitable[Contents]]


async def gather(
    path: Path, directory: Cap, read: Read, wanted: Set[str] | None = None
) -> Children:
    """
    The children of a directory as it is shown: its own and those of its parts, hidden ones too.

    `wanted`: names of interest. This returns only them, and reads only their parts.

    Raises: NotADirectory if it has a part twice; the errors of `read`.
    """
    met = {directory}

    async def below(way: Sequence[Cap], wanted: Set[str] | None) -> Children:
        depth = len(way) - 1
        digits = None if wanted is None else {digit_of(name, depth) for name in wanted}
        contents = await read(way[-1], depth, wanted)
        parts = {d: cap for d, cap in contents.parts.items() if digits is None or d in digits}
        for part in parts.values():
            if part in met:
                raise not_a_directory(path, "it has a part twice")
            met.add(part)

        async def enter(digit: str) -> Children:
            names = wanted and {name for name in wanted if digit_of(name, depth) == digit}
            return await below(onward(path, way, parts[digit]), names)

        if wanted is None:
            children = contents.shown
        else:  # many callers can share the listing of a large directory: none copies all of it
            links = contents.strays, contents.names
            children = {name: each[name] for each in links for name in wanted if name in each}
        for found in await all_of(parts, enter, len(parts)):
            children.update(found)
        return children

    return await below([directory], wanted)
