"""
How a directory is laid out: flat, or with its names spread over sub-directories, its *parts*.

A directory is read and written as a whole, so a large one is slow. With a `Fanout` one that has
grown is *closed*: it takes no more names. Each name belongs to the part for the first hexadecimal
digit of its SHA-256. A part is a directory, which is closed in its turn when it has grown, and
then the second digit counts, and so on. What is a part or a mark is told by the metadata of its
link, never by its name: users may name their files as they like.

The first who has to change a name whose part is missing makes it, with all names of the closed
directory that belong to it, and links it where no other part is linked for the digit. From then on
the part has the say. So names move many at once, by one link, and there is no moment at which one
is missing, or is there twice. Before, nobody sees the part; who dies then leaves nothing behind.

Nobody may go on to write into a closed directory, though there is no way to hinder those who do
not know yet that it is closed. So there are three states, of which processes at the same time know
two that are neighbours at most. With t for `Fanout.pace`, each process by its own clock:

*Open.* Names are linked in the directory itself, by who has read it since t. If the answer comes
within 2t of that reading, the link was made before the directory was closed.
*Closing.* A mark says so. Who links there, or needed longer, reads the directory once more before
telling that it is done. If it is closed then, it is not known whether who made a part has seen the
link: one looks, and makes it in the part where it is not there.
*Closed.* Another mark, made by anybody who has known for 3t that the directory is closing. What
was read before it was closing has led to no link, unless one that is looked after, for t by then.

That holds for deletions as well. No two clocks need to agree, and it does not matter who dies when.
What it takes is that one gateway makes all changes, so that no link replaces another one.

Each directory above one that is closing has a mark from before that, up to the root of the tree
that closes it; so has each into which such a directory is moved. A storage without the option reads
its root once in t while it makes changes, mostly along with something else. When it finds a mark it
follows all this, but closes nothing of its own accord. Its root may lie below that of the tree with
the option. If its root lies above, it needs the option too, because a tree marks nothing above its
own root.
What a client links in a closed directory that knows nothing of this is found while the part has no
such name. Every other client finds all files by walking; where parts have the say, it also sees
what the closed directory has kept, until that is swept away.
"""

from __future__ import annotations

from base64 import b32encode
from collections import OrderedDict
from collections.abc import Container, Iterable, Sequence
from hashlib import sha256
from math import inf
from secrets import token_hex
from string import hexdigits
from typing import Literal

from attrs import define, evolve, field, frozen

from txtahoe.caps import Cap
from txtahoe.errors import NotADirectory
from txtahoe.nodes import Link, Node
from txtahoe.tree.paths import Path

Children = dict[str, Node]
State = Literal["tree", "closing", "closed"]

# The key in a link's metadata that says: this directory is in no listing; who names it finds it.
HIDDEN = "txtahoe-hidden"
# The key of a mark: of a directory that is "closing" or "closed", or at the root of the "tree".
_SPREAD = "txtahoe-spread"
# The key of a part: its digit.
_PART = "txtahoe-part"

DIGITS = tuple(hexdigits[:16])
# A digest has so many.
_MOST_DIGITS = 64
_PART_NAME = ".tahoe-part-"
_NOTE = b"More names of this directory are in its parts."
_NOTE_CAP = Cap.parse(f"URI:LIT:{b32encode(_NOTE).decode().lower().rstrip('=')}")


@frozen
class Fanout:
    """
    When directories are spread.

    `limit`: names up to which a directory is left as it is. A change of 128 names costs a fifth
    more than one of a single name; processes may have different limits.
    `pace`: seconds for which what is known of a directory allows to write there. It takes three
    times as long to close one. All processes must have the same.
    """

    limit: int = 128
    pace: float = 10.0


def digit_of(name: str, depth: int) -> str:
    """The digit of the part to which a name belongs, `depth` parts below its directory."""
    return sha256(name.encode()).hexdigest()[depth]


def onward(path: Path, way: Sequence[Cap], part: Cap) -> list[Cap]:
    """
    A way from the directory of a path through its parts, and another part at its end.

    Raises: NotADirectory where it leads back to itself, or on and on, as no tree makes it.
    """
    if part in way or len(way) == _MOST_DIGITS:
        raise not_a_directory(path, "its parts lead back to it")
    return [*way, part]


def meet(path: Path, met: set[Cap], parts: Iterable[Cap]) -> None:
    """
    Note parts that are to be read beside those that were met in one directory.

    Raises: NotADirectory where one was met already.
    """
    for part in parts:
        if part in met:
            raise not_a_directory(path, "it has a part twice")
        met.add(part)


def not_a_directory(path: Path, why: str) -> NotADirectory:
    """The error that tells of a spread directory that nobody can use."""
    return NotADirectory(f"{'/'.join(path)!r} can't be used as a directory: {why}")


def part_name(digit: str, names: Container[str]) -> str:
    """
    The name under which a part is linked beside `names`, those that a closed directory has kept.

    All who make the part choose the same, so that one of them only can link it.
    """
    name = _PART_NAME + digit
    while name in names:
        name += "~"
    return name


def is_like_part(name: str) -> bool:
    """Whether a name stays where it is, because that of a part depends on it."""
    return name.startswith(_PART_NAME)


def part_link(part: Cap, digit: str) -> Link:
    """The link of a part."""
    return Link(part, {_PART: digit, HIDDEN: True})


def mark(state: State) -> dict[str, Link]:
    """A mark, under a name that nobody has."""
    return {f".tahoe-spread-{token_hex(8)}": Link(_NOTE_CAP, {_SPREAD: state, HIDDEN: True})}


def visible(children: Children) -> Children:
    """Children without those that are hidden."""
    return {name: node for name, node in children.items() if HIDDEN not in node.metadata}


@frozen
class Contents:
    """
    The children of a directory, told apart.

    `names`: those that are read here. `parts`: by digit, with `part_links` for their names and
    links.
    `superseded`: links that a part has replaced; they count for nothing.
    `strays`: links that no part has taken over: a client that does not know the protocol made them
    after the directory was closed, or their cap is of an unknown kind. A stray counts if its part
    has no such name.
    `marks`: the links of the states that the directory has.
    """

    names: Children
    parts: dict[str, Cap] = field(factory=dict)
    part_links: dict[str, tuple[str, Node]] = field(factory=dict)
    superseded: frozenset[str] = frozenset()
    strays: Children = field(factory=dict)
    marks: dict[State, tuple[str, Node]] = field(factory=dict)

    @property
    def is_closed(self) -> bool:
        return "closed" in self.marks

    @property
    def is_closing(self) -> bool:
        return "closing" in self.marks

    @property
    def kept(self) -> set[str]:
        """All names that are linked here, whoever has the say."""
        return {*self.names, *self.superseded, *self.strays}

    def part_of(self, name: str, depth: int) -> Cap | None:
        """The part which has the say of a name."""
        return self.parts.get(digit_of(name, depth)) if self.parts else None

    def belonging(self, digit: str, depth: int) -> dict[str, Link]:
        """The links of the names that belong to a part."""
        return {
            name: Link(node.cap, node.metadata)
            for name, node in self.names.items()
            if node.cap.is_known and digit_of(name, depth) == digit
        }


def contents_of(children: Children, depth: int, path: Path = ()) -> Contents:
    """
    The children of a directory, told apart. `depth`: how many parts it is below the directory
    whose names these are. `path`: where that is, for errors.

    Raises: NotADirectory for a closed one with a part for what is no digit.
    """
    names: Children = {}
    part_links: dict[str, tuple[str, Node]] = {}
    marks: dict[State, tuple[str, Node]] = {}
    is_strange = False
    for name in sorted(children) if _are_spread(children) else children:
        node = children[name]
        digit, state = node.metadata.get(_PART), node.metadata.get(_SPREAD)
        if node.is_directory and digit in DIGITS:
            part_links.setdefault(digit, (name, node))
        elif state in ("tree", "closing", "closed"):
            marks.setdefault(state, (name, node))
        else:
            names[name] = node
            is_strange = is_strange or (node.is_directory and digit is not None)
    contents = Contents(names, marks=marks, part_links=part_links)
    if not contents.is_closed:
        return contents
    if is_strange:
        raise not_a_directory(path, "it has a part of an unknown kind")
    parts = {digit: node.cap for digit, (_, node) in part_links.items()}
    return _told_apart(evolve(contents, parts=parts), depth)


def _are_spread(children: Children) -> bool:
    return any(_PART in node.metadata or _SPREAD in node.metadata for node in children.values())


def _told_apart(contents: Contents, depth: int) -> Contents:
    closed = contents.marks["closed"][1].modified
    names: Children = {}
    strays: Children = {}
    superseded = set()
    for name, node in contents.names.items():
        if contents.part_of(name, depth) is None:
            names[name] = node
        elif not node.cap.is_known or _is_later(node.created, closed):
            strays[name] = node
        else:
            superseded.add(name)
    return evolve(contents, names=names, strays=strays, superseded=frozenset(superseded))


def _is_later(time: float | None, than: float | None) -> bool:
    return time is not None and than is not None and time > than


@define
class Layout:
    """
    What is known of one directory or part.

    `asked`: when it was read last, or before. `count`: of its own names, about.
    `closing_since`: since when it is known that it is closing. `is_marked`: it has some mark.
    Times are those of the reactor.
    """

    asked: float
    count: int = 0
    closing_since: float | None = None
    is_marked: bool = False
    is_closed: bool = False
    parts: dict[str, Cap] = field(factory=dict)
    superseded: frozenset[str] = frozenset()
    strays: Children = field(factory=dict)


class Layouts:
    """
    The layouts of directories; the last `max_known` ones.

    That a directory is closed, and which parts it has, is true for ever once it is true.
    """

    def __init__(self, root: Cap, max_known: int, keeps_all: bool) -> None:
        self._root = root
        self._max_known = max_known
        self._layouts: OrderedDict[Cap, Layout] = OrderedDict()
        self.root_asked = -inf
        """When the root of the tree, which would have its mark, was read last."""
        self.is_on = keeps_all
        """Whether some directory of this tree may be spread."""

    def get(self, directory: Cap) -> Layout | None:
        """What is known of a directory."""
        return self._layouts.get(directory)

    def parts(self, directory: Cap) -> dict[str, Cap]:
        """The parts that a directory is known to have."""
        layout = self._layouts.get(directory)
        return {} if layout is None else layout.parts

    def is_marked(self, directory: Cap) -> bool:
        """Whether a directory is known to have a mark: it, or one below it, may be spread."""
        layout = self._layouts.get(directory)
        return layout is not None and layout.is_marked

    def way(self, path: Path, directory: Cap, name: str) -> list[Cap]:
        """
        The directory of a path, and the parts in it that lead to a name, as far as they are known.

        Raises: as `onward`.
        """
        way = [directory]
        layout = self._layouts.get(directory)
        while layout is not None and layout.parts:
            part = layout.parts.get(digit_of(name, len(way) - 1))
            if part is None:
                break
            way = onward(path, way, part)
            layout = self._layouts.get(part)
        return way

    def learn(self, directory: Cap, contents: Contents, asked: float, now: float) -> None:
        """What was read of a directory."""
        if directory == self._root:
            self.root_asked = max(asked, self.root_asked)
        if contents.marks or contents.part_links:
            self.is_on = True
        if not self.is_on:
            return
        layout = self._layouts.pop(directory, None) or Layout(asked)
        self._layouts[directory] = layout
        layout.asked = max(asked, layout.asked)
        layout.count = len(contents.names)
        layout.is_marked = layout.is_marked or bool(contents.marks)
        if contents.is_closing and layout.closing_since is None:
            layout.closing_since = now
        if contents.is_closed:
            layout.is_closed = True
            layout.parts.update(contents.parts)
            layout.superseded, layout.strays = contents.superseded, contents.strays
        self._bound()

    def learn_new(self, directory: Cap, layout: Layout) -> None:
        """A directory was made just now; nobody else knows of it before it is linked."""
        if self.is_on:
            self._layouts[directory] = layout
            self._bound()

    def note_marked(self, directory: Cap) -> None:
        """A directory was marked just now."""
        layout = self._layouts.get(directory)
        if layout is not None:
            layout.is_marked = True

    def forget(self, directory: Cap) -> bool:
        """
        Forget a directory and its parts, which may have been replaced; whether it had parts.

        A part that was replaced has no leases any more, and is lost some day.
        """
        had_parts = bool(self.parts(directory))
        waiting = [directory]
        while waiting:
            layout = self._layouts.pop(waiting.pop(), None)
            if layout is not None:
                waiting.extend(layout.parts.values())
        return had_parts

    def _bound(self) -> None:
        if len(self._layouts) > self._max_known:
            self._layouts.popitem(last=False)
