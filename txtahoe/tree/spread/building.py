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
from txtahoe.tree.spread.format import (
    DIGITS,
    Contents,
    Mark,
    digit_of,
    mark,
    part_link,
    part_name,
)
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
        self.fanout = fanout
        self._making: SingleFlight[tuple[Cap, str], Cap] = SingleFlight()
        self._closing: SingleFlight[Cap, None] = SingleFlight()
        self._room = DeferredSemaphore(_AT_ONCE)

    async def layout(self, path: Path, cap: Cap, depth: int) -> Layout:
        """
        What is known of a directory, new enough to begin a change: it is read if need be.

        If reading takes longer than a pace, the layout is too old already. The caller goes on all
        the same, and looks again after its change, because it cannot be sure then.
        """
        layout = self._layouts.get(cap)
        while layout is None or not self.fanout.may_use(layout.state, self._now() - layout.asked):
            await self._lookup.ask(path, cap, depth, anew=False)
            layout = self._layouts.get(cap)
            if layout is not None:
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
        if len(links) <= self.fanout.limit:
            is_marked = not depth and self.leads_to_spread(links)
            marks = mark("tree") if is_marked else {}
            async with self._room:
                asked = self._now()
                cap = await self._client.mkdir({**links, **marks}, keep_times=keep_times)
            self._layouts.learn_new(cap, Layout(asked, len(links), is_marked=is_marked))
            return cap
        slices: dict[str, dict[str, Link]] = {digit: {} for digit in DIGITS}
        for name, link in links.items():
            slices[digit_of(name, depth)][name] = link

        async def build(digit: str) -> Cap:
            return await self._build(slices[digit], depth + 1, keep_times=keep_times)

        parts = dict(zip(DIGITS, await all_of(DIGITS, build, _AT_ONCE), strict=True))
        asked = self._now()
        cap = await self._client.mkdir({**_links_of(parts, set()), **mark("closed")})
        layout = Layout(asked, state=State.CLOSED, is_marked=True, parts=parts)
        self._layouts.learn_new(cap, layout)
        return cap

    # From open over closing to closed.

    async def advance(self, path: Path, cap: Cap, depth: int) -> float:
        """
        Take a directory to its next state, if its time has come.

        Returns for how many seconds the caller must wait before it calls again; 0.0: it is closed.
        """
        if (await self._lookup.ask(path, cap, depth, anew=True)).is_closed:
            return 0.0
        layout = self._layouts.get(cap)
        if layout is None or layout.state is State.OPEN:
            await self._begin_closing(path, cap)
            return self.fanout.wait(State.CLOSING, 0)
        if layout.state is State.CLOSED:  # the grid has given an old version
            return 0.0
        wait = self.fanout.wait(layout.state, self._now() - layout.state_since)
        if wait <= 0:
            await self.finish_closing(path, cap, depth)
        return max(wait, 0.0)

    async def _begin_closing(self, path: Path, cap: Cap) -> None:
        await self.mark_ancestors(path)
        await self._mark(cap, "closing")
        self._layouts.note_closing(cap, self._now())

    def is_due(self, layout: Layout) -> bool:
        """Whether this process must make the mark "closed" now."""
        return (
            layout.state is State.CLOSING
            and self.fanout.wait(layout.state, self._now() - layout.state_since) <= 0
        )

    async def finish_closing(self, path: Path, cap: Cap, depth: int) -> None:
        """Close a directory that is due."""

        async def close(flight: Flight[None]) -> None:
            if not (await self._lookup.ask(path, cap, depth, anew=True)).is_closed:
                await self._mark(cap, "closed")
                await self._lookup.ask(path, cap, depth, anew=True)

        await self._closing.ask(cap, close)

    # Parts of a closed directory.

    async def make_part(self, path: Path, cap: Cap, depth: int, digit: str) -> Cap:
        """The part of a closed directory for a digit, made if it is missing."""

        async def make(flight: Flight[Cap]) -> Cap:
            # This reading began after the directory was closed, so it has all names of the part.
            contents = await self._lookup.ask(path, cap, depth, anew=True)
            if digit not in contents.parts:
                await self.link_parts(cap, contents, depth, [digit])
            return self._layouts.parts(cap).get(digit) or await again()

        async def again() -> Cap:
            return (await self._lookup.ask(path, cap, depth, anew=True)).parts[digit]

        return (await self._making.ask((cap, digit), make))[0]

    async def link_parts(
        self, cap: Cap, contents: Contents, depth: int, digits: Sequence[str]
    ) -> bool:
        """
        Make parts of a closed directory and link them by one write.

        `contents`: what was read after the directory was closed.

        Returns whether they are linked; False: another process has linked one of them first.
        """
        assert contents.is_closed

        async def build(digit: str) -> Cap:
            links = contents.belonging(digit, depth)
            return await self._build(links, depth + 1, keep_times=True)

        parts = dict(zip(digits, await all_of(digits, build, _AT_ONCE), strict=True))
        try:
            await self._client.set_children(cap, _links_of(parts, contents.kept))
        except ExistingChild:
            return False
        finally:
            self._lookup.outdate(cap)
        self._layouts.parts(cap).update(parts)
        return True

    # Marks.

    def leads_to_spread(self, links: Mapping[str, Link]) -> bool:
        """Whether one of the links leads to a directory that has a mark."""
        return any(
            link.cap.is_directory and self._layouts.is_marked(link.cap) for link in links.values()
        )

    async def mark_path(self, path: Path) -> None:
        """Mark every directory from the root to that of a path, if it has no mark yet."""
        for depth in range(len(path) + 1):
            cap = await self._lookup.directory(path[:depth])
            if not self._layouts.is_marked(cap):
                contents = await self._lookup.ask(path[:depth], cap, 0, anew=True)
                if not contents.marks:
                    await self._mark(cap, "tree")
                    self._layouts.note_marked(cap)

    async def mark_ancestors(self, path: Path) -> None:
        """
        As `mark_path`, without the directory of the path itself, which gets a mark of its own.

        This must be done before the mark "closing" is made: a process whose storage does not spread
        looks at its root only, and must find a mark there in time.
        """
        await self.mark_path(path[:-1])

    async def _mark(self, cap: Cap, state: Mark) -> None:
        try:
            await self._client.set_children(cap, mark(state))
        finally:
            self._lookup.outdate(cap)

    def _now(self) -> float:
        return float(self._client.reactor.seconds())


def _links_of(parts: Mapping[str, Cap], kept: set[str]) -> dict[str, Link]:
    return {part_name(digit, kept): part_link(part, digit) for digit, part in parts.items()}
