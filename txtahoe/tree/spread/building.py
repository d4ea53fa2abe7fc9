"""How directories come by their layout: new ones, and those that are closed; see `layouts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from twisted.internet.defer import DeferredSemaphore

from txtahoe.caps import Cap
from txtahoe.concurrency import all_or_first, each
from txtahoe.errors import ExistingChild
from txtahoe.nodes import Link
from txtahoe.tree.lookup import Lookup
from txtahoe.tree.paths import Path
from txtahoe.tree.singleflight import Flight, SingleFlight
from txtahoe.tree.spread.format import (
    DIGITS,
    Contents,
    Fanout,
    Layout,
    State,
    digit_of,
    mark,
    part_link,
    part_name,
)

# Directories that are made at the same time.
_AT_ONCE = 8


class Builder:
    """
    Makes directories and parts, and closes them.

    A directory is named by its cap and its path; a part by its own cap, the path of its directory,
    and `depth`: how many parts it is below that.
    """

    def __init__(self, lookup: Lookup, fanout: Fanout) -> None:
        self._lookup = lookup
        self._client = lookup.client
        self.fanout = fanout
        self._making: SingleFlight[tuple[Cap, str], Cap] = SingleFlight()
        self._closing: SingleFlight[Cap, None] = SingleFlight()
        self._room = DeferredSemaphore(_AT_ONCE)

    async def layout(self, path: Path, cap: Cap, depth: int) -> Layout:
        """
        What is known of a directory: that it is closed, or else what is new enough to write there,
        or was asked for just now: who needs longer than that to read it, looks once more later.
        """
        layout = self._lookup.layouts.get(cap)
        while layout is None or not (layout.is_closed or self._is_new(layout)):
            await self._lookup.ask(path, cap, depth, anew=False)
            layout = self._lookup.layouts.get(cap)
            if layout is not None:
                break
        return layout

    def _is_new(self, layout: Layout) -> bool:
        return self._now() - layout.asked < self.fanout.pace

    def is_due(self, layout: Layout) -> bool:
        """Whether a directory is to be closed now."""
        since = layout.closing_since
        return since is not None and self._now() - since >= self._wait

    async def make(self, links: Mapping[str, Link]) -> Cap:
        """A new directory with first names, which nobody knows of yet."""
        if not self._lookup.layouts.is_on:
            return await self._client.mkdir(links)
        return await self.build(links, 0, keep_times=False)

    async def build(self, links: Mapping[str, Link], depth: int, *, keep_times: bool) -> Cap:
        """A new directory, or part, with names that are spread where they are many."""
        if len(links) <= self.fanout.limit:
            is_marked = not depth and self.leads_to_spread(links)
            marks = mark("tree") if is_marked else {}
            async with self._room:
                asked = self._now()
                cap = await self._client.mkdir({**links, **marks}, keep_times=keep_times)
            self._lookup.layouts.learn_new(cap, Layout(asked, len(links), is_marked=is_marked))
            return cap
        slices: dict[str, dict[str, Link]] = {digit: {} for digit in DIGITS}
        for name, link in links.items():
            slices[digit_of(name, depth)][name] = link

        async def build(digit: str) -> Link:
            part = await self.build(slices[digit], depth + 1, keep_times=keep_times)
            return part_link(part, digit)

        parts = all_or_first(await each(DIGITS, build, _AT_ONCE))
        names = [part_name(digit, ()) for digit in DIGITS]
        links = {**dict(zip(names, parts, strict=True)), **mark("closed")}
        asked = self._now()
        cap = await self._client.mkdir(links)
        caps = {digit: part.cap for digit, part in zip(DIGITS, parts, strict=True)}
        layout = Layout(asked, is_marked=True, is_closed=True, parts=caps)
        self._lookup.layouts.learn_new(cap, layout)
        return cap

    async def close(self, path: Path, directory: Cap, depth: int) -> float:
        """
        Go on with closing a directory. Returns for how many seconds it has to be waited, then to
        go on; 0.0 where it is closed.
        """
        contents = await self._lookup.ask(path, directory, depth, anew=True)
        if contents.is_closed:
            return 0.0
        layout = self._lookup.layouts.get(directory)
        if layout is None or layout.closing_since is None:
            await self.mark_way(path[:-1])
            await self._mark(directory, "closing")
            self.note_closing(directory)
            return self._wait
        left = layout.closing_since + self._wait - self._now()
        if left <= 0:
            await self.close_now(path, directory, depth)
        return max(left, 0.0)

    def note_closing(self, cap: Cap) -> None:
        """Somebody has made the mark of a directory that is closing just now."""
        layout = self._lookup.layouts.get(cap)
        if layout is not None and layout.closing_since is None:
            layout.closing_since = self._now()

    async def make_part(self, path: Path, directory: Cap, depth: int, digit: str) -> Cap:
        """The part of a closed directory for a digit, made where it is missing."""

        async def make(flight: Flight[Cap]) -> Cap:
            # Read after it was closed: there are no other names that belong to the part.
            contents = await self._lookup.ask(path, directory, depth, anew=True)
            if digit not in contents.parts:
                await self.link_parts(directory, contents, depth, [digit])
            return self._lookup.layouts.parts(directory).get(digit) or await again()

        async def again() -> Cap:
            return (await self._lookup.ask(path, directory, depth, anew=True)).parts[digit]

        return (await self._making.ask((directory, digit), make))[0]

    async def link_parts(
        self, directory: Cap, contents: Contents, depth: int, digits: Sequence[str]
    ) -> bool:
        """
        Make parts of a directory, which was read when it was closed, and link them together.

        Returns whether they are linked; somebody else may have been faster with one of them.
        """
        assert contents.is_closed

        async def build(digit: str) -> Cap:
            links = contents.belonging(digit, depth)
            return await self.build(links, depth + 1, keep_times=True)

        parts = dict(zip(digits, all_or_first(await each(digits, build, _AT_ONCE)), strict=True))
        links = {
            part_name(digit, contents.kept): part_link(part, digit) for digit, part in parts.items()
        }
        try:
            await self._client.set_children(directory, links)
        except ExistingChild:
            return False
        finally:
            self._lookup.outdate(directory)
        self._lookup.layouts.parts(directory).update(parts)
        return True

    def leads_to_spread(self, links: Mapping[str, Link]) -> bool:
        """Whether some of the links lead to what is spread, or to what has such things below it."""
        layouts = self._lookup.layouts
        return any(link.cap.is_directory and layouts.is_marked(link.cap) for link in links.values())

    async def mark_way(self, path: Path) -> None:
        """See to it that every directory from the root to that of a path has a mark."""
        for depth in range(len(path) + 1):
            cap = await self._lookup.directory(path[:depth])
            if not self._lookup.layouts.is_marked(cap):
                contents = await self._lookup.ask(path[:depth], cap, 0, anew=True)
                if not contents.marks:
                    await self._mark(cap, "tree")
                    self._lookup.layouts.note_marked(cap)

    async def close_now(self, path: Path, cap: Cap, depth: int) -> None:
        """Close a directory of which it is known for long enough that it is closing."""

        async def close(flight: Flight[None]) -> None:
            if not (await self._lookup.ask(path, cap, depth, anew=True)).is_closed:
                await self._mark(cap, "closed")
                await self._lookup.ask(path, cap, depth, anew=True)

        await self._closing.ask(cap, close)

    async def _mark(self, cap: Cap, state: State) -> None:
        try:
            await self._client.set_children(cap, mark(state))
        finally:
            self._lookup.outdate(cap)

    @property
    def _wait(self) -> float:
        return 3 * self.fanout.pace

    def _now(self) -> float:
        return float(self._client.reactor.seconds())
