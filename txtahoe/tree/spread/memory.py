"""The memory of this process: the states and parts of directories, and when it read them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Set
from contextlib import suppress
from math import inf

from attrs import define, field

from txtahoe.caps import Cap
from txtahoe.errors import NotADirectory
from txtahoe.tree.spread.format import Children, Contents, digit_of, onward
from txtahoe.tree.spread.states import State


@define
class Layout:
    """
    The known facts of one directory or part. The defaults are those of an unknown one.

    `asked`: when the last reading of it began. `state`: the last one that was seen or made, since
    `state_since`. `count`: about how many names it links itself. `is_marked`: it has some mark.
    Times are those of the reactor, in seconds.
    """

    asked: float = -inf
    count: int = 0
    state: State = State.OPEN
    state_since: float = inf
    is_marked: bool = False
    parts: dict[str, Cap] = field(factory=dict)
    superseded: frozenset[str] = frozenset()
    strays: Children = field(factory=dict)

    @property
    def is_known(self) -> bool:
        return self.asked > -inf

    def note_state(self, state: State, now: float) -> None:
        """Note a state that follows the present one; an older reading changes nothing."""
        order = list(State)
        if order.index(state) > order.index(self.state):
            self.state, self.state_since, self.is_marked = state, now, True

    def note_parts(self, parts: Mapping[str, Cap], before: Contents, depth: int) -> None:
        """Note parts and the links that they have taken over; `before`: a reading without them."""
        self.parts.update(parts)
        here = {name: n for name, n in before.names.items() if digit_of(name, depth) in parts}
        self.superseded |= {name for name, node in here.items() if node.cap.is_known}
        self.strays |= {name: node for name, node in here.items() if not node.cap.is_known}

    def has_parts_for(self, names: Set[str] | None, depth: int) -> bool:
        """Whether parts decide on all of these names, and no stray has one of them."""
        if names is None or not self.strays.keys().isdisjoint(names):
            return False
        return self.parts.keys() >= {digit_of(name, depth) for name in names}


class Layouts:
    """
    The layouts of directories; the last `max_known` ones.

    A state never goes back, and a closed directory keeps its parts, so neither is ever too old to
    be used. One thing can change: `maintenance.spread` replaces a closed directory or part by a
    copy with the same parts. A process that remembers the old one still finds the same parts
    through it. Once the old one's leases have ended, it cannot be read; `forget` it then.
    """

    def __init__(self, root: Cap, max_known: int, spreads: bool) -> None:
        self._root = root
        self._max_known = max_known
        self._layouts: OrderedDict[Cap, Layout] = OrderedDict()
        self.root_asked = -inf
        """When the last reading of the tree's root began: it would have shown a mark."""
        self.is_on = spreads
        """Whether some directory of this tree may be spread."""

    def get(self, directory: Cap) -> Layout:
        """The layout of a directory. If it is unknown, notes in the result are lost."""
        return self._layouts.get(directory) or Layout()

    def way(self, directory: Cap, name: str) -> list[Cap]:
        """A directory and the parts below it that decide on a name, as far as they are known."""
        way = [directory]
        with suppress(NotADirectory):  # its parts lead back to it
            while (layout := self.get(way[-1])).has_parts_for({name}, len(way) - 1):
                way = onward((), way, layout.parts[digit_of(name, len(way) - 1)])
        return way

    def learn(
        self, directory: Cap, contents: Contents, depth: int, asked: float, now: float
    ) -> None:
        """Note a reading of a directory or part, by a request that began at `asked`."""
        if directory == self._root:
            self.root_asked = max(asked, self.root_asked)
        if contents.marks:
            self.is_on = True
        layout = self.get(directory)
        layout.asked = max(asked, layout.asked)
        layout.count = len(contents.names)
        layout.is_marked |= bool(contents.marks)
        layout.note_state(contents.state, now)
        if contents.is_closed:
            layout.parts.update(contents.parts)
            layout.superseded, layout.strays = contents.superseded, contents.strays
            since = {digit: layout.parts[digit] for digit in layout.parts.keys() - contents.parts}
            if since:  # the reading is older than these parts
                layout.note_parts(since, contents, depth)
        self.put(directory, layout)

    def put(self, directory: Cap, layout: Layout) -> None:
        """Keep a layout, if directories may be spread."""
        if self.is_on:
            self._layouts[directory] = layout
            self._layouts.move_to_end(directory)
            if len(self._layouts) > self._max_known:
                self._layouts.popitem(last=False)

    def forget(self, directory: Cap) -> bool:
        """Forget a directory and its parts, which may have been replaced; whether it had parts."""
        had_parts = bool(self.get(directory).parts)
        waiting = [directory]
        while waiting:
            layout = self._layouts.pop(waiting.pop(), Layout())
            waiting.extend(layout.parts.values())
        return had_parts
