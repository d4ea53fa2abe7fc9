"""What this process remembers of directories: their states and parts, and when it read them."""

from __future__ import annotations

from collections import OrderedDict
from math import inf

from attrs import define, field

from txtahoe.caps import Cap
from txtahoe.tree.paths import Path
from txtahoe.tree.spread.format import Children, Contents, digit_of, onward
from txtahoe.tree.spread.states import State


@define
class Layout:
    """
    What is known of one directory or part.

    `asked`: when the last reading of it began. `state`: the last one that was seen or made, since
    `state_since`. `count`: about how many names it links itself. `is_marked`: it has some mark.
    Times are those of the reactor, in seconds.
    """

    asked: float
    count: int = 0
    state: State = State.OPEN
    state_since: float = inf
    is_marked: bool = False
    parts: dict[str, Cap] = field(factory=dict)
    superseded: frozenset[str] = frozenset()
    strays: Children = field(factory=dict)


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

        Raises: NotADirectory, as `onward`.
        """
        way = [directory]
        while part := self.parts(way[-1]).get(digit_of(name, len(way) - 1)):
            way = onward(path, way, part)
        return way

    def learn(self, directory: Cap, contents: Contents, asked: float, now: float) -> None:
        """Note what was read of a directory, by a request that began at `asked`."""
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
        self._note_state(layout, contents.state, now)
        if contents.is_closed:
            layout.parts.update(contents.parts)
            layout.superseded, layout.strays = contents.superseded, contents.strays
        self._bound()

    def learn_new(self, directory: Cap, layout: Layout) -> None:
        """Note a directory that was made just now; nobody else knows it before it is linked."""
        if self.is_on:
            self._layouts[directory] = layout
            self._bound()

    def note_closing(self, directory: Cap, now: float) -> None:
        """Note that this process has made the mark of a directory that is closing."""
        layout = self._layouts.get(directory)
        if layout is not None:
            self._note_state(layout, State.CLOSING, now)

    def note_marked(self, directory: Cap) -> None:
        """Note that this process has marked a directory."""
        layout = self._layouts.get(directory)
        if layout is not None:
            layout.is_marked = True

    def note_count(self, directory: Cap, more: int) -> None:
        """Note that names were linked in a directory."""
        layout = self._layouts.get(directory)
        if layout is not None:
            layout.count += more

    def forget(self, directory: Cap) -> bool:
        """Forget a directory and its parts, which may have been replaced; whether it had parts."""
        had_parts = bool(self.parts(directory))
        waiting = [directory]
        while waiting:
            layout = self._layouts.pop(waiting.pop(), None)
            if layout is not None:
                waiting.extend(layout.parts.values())
        return had_parts

    def _note_state(self, layout: Layout, state: State, now: float) -> None:
        """Note a state that follows the one that is known: an older reading changes nothing."""
        order = list(State)
        if order.index(state) > order.index(layout.state):
            layout.state, layout.state_since = state, now

    def _bound(self) -> None:
        if len(self._layouts) > self._max_known:
            self._layouts.popitem(last=False)
