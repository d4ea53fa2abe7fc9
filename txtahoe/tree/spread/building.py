"""Makes directories and parts, and takes directories from one state to the next; see `states`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.internet.defer import DeferredSemaphore

from txtahoe.caps import Cap
from txtahoe.concurrency import all_of
from txtahoe.errors import ExistingChild
from txtahoe.nodes import Link
from txtahoe.tree.lookup import Lookup
from txtahoe.tree.paths import Path
from txtahoe.tree.singleflight import Flight, SingleFlight
from txtahoe.tree.spread.format import DIGITS, Contents, Mark, digit_of, mark, part_links
from txtahoe.tree.spread.memory import Layout
from txtahoe.tree.spread.states import Fanout, State

# Directories that are made at the same time.
_AT_ONCE = 8


class Builder:
    """
    Makes directories and parts, and closes directories.

    Arguments name a directory by its cap and path, and a part by its own cap, the path of its
    directory, and `depth`: how many parts it is below that directory.

    All methods raise the errors of `Client`.
    """

    def __init__(self, lookup: Lookup, fanout: Fanout) -> None:
        self._lookup = lookup
        self._client = lookup.client
        self._layouts = lookup.layouts
        self._now = lookup.now
        self.fanout = fanout
        self._making: SingleFlight[tuple[Cap, str], Cap] = SingleFlight()
        self._closing: SingleFlight[Cap, None] = SingleFlight()
        self._room = DeferredSemaphore(_AT_ONCE)

    async def layout(self, path: Path, cap: Cap, depth: int) -> Layout:
        """
        The layout of a directory, new enough to begin a change. If it is too old, this reads it.

        If reading takes longer than a pace, the layout is too old already. The caller goes on all
        the same, and looks again after its change, because it cannot be sure then.
        """
        layout = self._layouts.get(cap)
        while not self.fanout.may_use(layout.state, self._now() - layout.asked):
            await self._lookup.ask(path, cap, depth, anew=False)
            layout = self._layouts.get(cap)
            if layout.is_known:  # it has not been pushed out of the memory meanwhile
                break
        return layout

    # New directories.

    async def make(self, links: Mapping[str, Link]) -> Cap:
        """A new directory with first names, which is not linked yet."""
        if not self._layouts.is_on:
            return await self._client.mkdir(links)
        return await self._build(links, 0, keep_times=False)

    async def _build(self, links: Mapping[str, Link], depth: int, *, keep_times: bool) -> Cap:
        """A new directory, or part. If it has many names, it is closed from its birth."""
        layout = Layout(count=len(links), is_marked=self.leads_to_spread(links))
        if len(links) > self.fanout.limit:
            slices: dict[str, dict[str, Link]] = {digit: {} for digit in DIGITS}
            for name, link in links.items():
                slices[digit_of(name, depth)][name] = link
            parts = await self._build_parts(slices, depth, keep_times=keep_times)
            layout = Layout(state=State.CLOSED, is_marked=True, parts=parts)
            links = {**part_links(parts, set()), **mark("closed")}
        elif layout.is_marked:
            links = {**links, **mark("tree")}
        async with self._room:
            cap = await self._client.mkdir(links, keep_times=keep_times)
        layout.asked = self._now()  # nobody else knows it before it is linked
        self._layouts.put(cap, layout)
        return cap

    async def _build_parts(
        self, slices: Mapping[str, Mapping[str, Link]], depth: int, *, keep_times: bool
    ) -> dict[str, Cap]:
        """New parts of a directory or part, by digit, with the links in `slices`."""

        async def build(links: Mapping[str, Link]) -> Cap:
            return await self._build(links, depth + 1, keep_times=keep_times)

        parts = await all_of(slices.values(), build, _AT_ONCE)
        return dict(zip(slices, parts, strict=True))

    # From open over closing to closed.

    async def advance(self, path: Path, cap: Cap, depth: int) -> float:
        """
        Take a directory to its next state, if its time has come.

        Returns for how many seconds the caller must wait before it calls again; 0.0: it is closed.
        """
        if (await self._lookup.ask(path, cap, depth, anew=True)).is_closed:
            return 0.0
        layout = self._layouts.get(cap)
        if layout.state is State.OPEN:
            await self.mark_path(path[:-1])
            await self._mark(path, cap, "closing")
            layout.note_state(State.CLOSING, self._now())
        elif self.is_due(layout):
            await self.finish_closing(path, cap, depth)
            return 0.0
        elif layout.state is State.CLOSED:  # the grid has given an old version
            return 0.0
        return self._wait(layout)

    def is_due(self, layout: Layout) -> bool:
        """Whether this process must make the mark "closed" now."""
        return layout.state is State.CLOSING and self._wait(layout) <= 0

    def _wait(self, layout: Layout) -> float:
        return self.fanout.wait(layout.state, self._now() - layout.state_since)

    async def finish_closing(self, path: Path, cap: Cap, depth: int) -> None:
        """Close a directory that is due, or read that it is closed."""

        async def close(flight: Flight[None]) -> None:
            if not (await self._lookup.ask(path, cap, depth, anew=True)).is_closed:
                await self._mark(path, cap, "closed")

        await self._closing.ask(cap, close)

    # Parts of a closed directory.

    async def make_part(self, path: Path, cap: Cap, depth: int, digit: str) -> Cap:
        """The part of a closed directory for a digit, made if it is missing."""

        async def make(flight: Flight[Cap]) -> Cap:
            # This reading began after the directory was closed, so it has all names of the part.
            contents = await self._lookup.ask(path, cap, depth, anew=True)
            parts = contents.parts
            if digit not in parts:
                parts = await self.link_parts(path, cap, depth, contents, [digit])
            if not parts:
                parts = (await self._lookup.ask(path, cap, depth, anew=True)).parts
            return parts[digit]

        return (await self._making.ask((cap, digit), make))[0]

    async def link_parts(
        self, path: Path, cap: Cap, depth: int, contents: Contents, digits: Sequence[str]
    ) -> dict[str, Cap]:
        """
        Make parts of a closed directory and link them by one write.

        `contents`: a reading that began after the directory was closed.

        Returns the parts; none if another process has linked one of them first.
        """
        assert contents.is_closed
        slices = {digit: contents.belonging(digit, depth) for digit in digits}
        parts = await self._build_parts(slices, depth, keep_times=True)
        try:
            with self._lookup.changing(path, cap):
                await self._client.set_children(cap, part_links(parts, contents.kept))
        except ExistingChild:
            return {}
        self._layouts.get(cap).note_parts(parts, contents, depth)
        return parts

    # Marks.

    def leads_to_spread(self, links: Mapping[str, Link]) -> bool:
        """Whether one of the links leads to a directory that has a mark."""
        caps = [link.cap for link in links.values() if link.cap.is_directory]
        return any(self._layouts.get(cap).is_marked for cap in caps)

    async def mark_path(self, path: Path) -> None:
        """
        Mark every directory from the root to that of a path, if it has no mark yet.

        The directories above one must be marked before it gets the mark "closing": a process whose
        storage does not spread looks at its root only, and must find a mark there in time.
        """
        for depth in range(len(path) + 1):
            cap = await self._lookup.directory(path[:depth])
            if not self._layouts.get(cap).is_marked:
                contents = await self._lookup.ask(path[:depth], cap, 0, anew=True)
                if not contents.marks:
                    await self._mark(path[:depth], cap, "tree")
                    self._layouts.get(cap).is_marked = True

    async def _mark(self, path: Path, cap: Cap, state: Mark) -> None:
        with self._lookup.changing(path, cap):
            await self._client.set_children(cap, mark(state))
