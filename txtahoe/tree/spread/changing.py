"""Changes of directories whose names are spread, or may come to be; see `layouts`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from attrs import define, field, frozen

from txtahoe.api.directories import Replace
from txtahoe.caps import Cap
from txtahoe.concurrency import each
from txtahoe.errors import (
    ExistingChild,
    NoSuchChild,
    NotADirectory,
    TahoeError,
    Unrecoverable,
)
from txtahoe.nodes import Link, Node
from txtahoe.tree.lookup import Lookup
from txtahoe.tree.paths import Path
from txtahoe.tree.spread.building import Builder
from txtahoe.tree.spread.format import Fanout, contents_of, digit_of, is_like_part, mark, onward

# Directories that are written at the same time for one call.
_AT_ONCE = 8


@frozen
class Place:
    """
    Where a name is to be changed: in the last of `way`, which begins with its directory.

    `depth`: of the last one. `asked`: when that was read, or, where nothing is spread, the root.
    `is_closing`: it is so since then, or before.
    """

    way: tuple[Cap, ...]
    depth: int
    asked: float
    is_closing: bool

    @property
    def cap(self) -> Cap:
        return self.way[-1]


@define
class Outcome:
    """
    What came of links in one directory: of each name what it leads to, or why it could not be
    linked. Those of which neither is known were refused together with others, by `refusal`.
    """

    made: dict[str, Node] = field(factory=dict)
    failed: dict[str, Exception] = field(factory=dict)
    refusal: ExistingChild | None = None

    def add(self, other: Outcome) -> None:
        """Add what came of other names, or of another attempt with some that had failed."""
        for name in other.made:
            self.failed.pop(name, None)
        self.made.update(other.made)
        self.failed.update(other.failed)
        self.refusal = self.refusal or other.refusal


class Changer:
    """
    Changes names where they belong.

    `fanout`: when directories are to be spread; None: never, but what is spread is written right.
    """

    def __init__(self, lookup: Lookup, fanout: Fanout | None) -> None:
        self._lookup = lookup
        self._client = lookup.client
        self._fanout = fanout or Fanout()
        self._spreads = fanout is not None
        self.builder = Builder(lookup, self._fanout)

    @property
    def fanout(self) -> Fanout | None:
        """When directories are to be spread."""
        return self._fanout if self._spreads else None

    def begin(self, fanout: Fanout) -> None:
        """From now on directories are to be spread."""
        self._fanout = self.builder.fanout = fanout
        self._spreads = self._lookup.layouts.is_on = True

    async def place(self, path: Path, directory: Cap, name: str, depth: int = 0) -> Place:
        """
        Where a name is to be changed now. Parts that are missing are made, and directories closed
        of which it is known for long enough that they are closing.

        `directory`: that of the path, in which the name is; or a part, so many parts below it.
        """
        if not await self._finds_on():
            return Place((directory,), 0, self._lookup.layouts.root_asked, False)
        way = [directory]
        while True:
            cap = way[-1]
            layout = await self.builder.layout(path, cap, depth)
            if layout.is_closed:
                digit = digit_of(name, depth)
                part = layout.parts.get(digit)
                part = part or await self.builder.make_part(path, cap, depth, digit)
                way = onward(path, way, part)
                depth += 1
            elif self.builder.is_due(layout):
                await self.builder.close_now(path, cap, depth)
            else:
                return Place(tuple(way), depth, layout.asked, layout.closing_since is not None)

    async def learn_marks(self, directory: Cap) -> None:
        """
        Find out whether anything is spread in a directory that is about to be moved. One that is
        lost can be moved too.
        """
        if await self._finds_on():
            asked = self._now()
            with suppress(NotADirectory, Unrecoverable):
                contents = contents_of(await self._client.list(directory), 0)
                self._lookup.layouts.learn(directory, contents, asked, self._now())

    async def look(self, path: Path, directory: Cap, name: str) -> None:
        """Look ahead where a name will be changed, without changing anything."""
        while await self._finds_on():
            way = self._lookup.layouts.way(path, directory, name)
            depth = len(way) - 1
            layout = await self.builder.layout(path, way[-1], depth)
            if digit_of(name, depth) not in layout.parts:
                return

    async def write(
        self, path: Path, directory: Cap, links: Mapping[str, Link], replace: Replace
    ) -> Outcome:
        """Make links to names of a directory, each where it belongs; one write for each part."""
        if self.builder.leads_to_spread(links):
            await self.builder.mark_way(path)
        outcome = Outcome()
        groups: dict[Cap, tuple[Place, dict[str, Link]]] = {}
        places = await each(links, lambda name: self.place(path, directory, name), len(links))
        for (name, link), place in zip(links.items(), places, strict=True):
            if isinstance(place, Exception):
                outcome.failed[name] = place
            else:
                groups.setdefault(place.cap, (place, {}))[1][name] = link

        async def write(group: tuple[Place, dict[str, Link]]) -> Outcome:
            return await self._write(path, *group, replace)

        results = await each(groups.values(), write, min(_AT_ONCE, len(groups)))
        for (_, names), result in zip(groups.values(), results, strict=True):
            if isinstance(result, Exception):
                outcome.failed.update(dict.fromkeys(names, result))
            else:
                outcome.add(result)
        return outcome

    async def unlink(self, path: Path, directory: Cap, name: str, node: Node) -> None:
        """Take a name away wherever it is. `node`: what it leads to, as was seen just now."""
        place = await self.place(path, directory, name)
        is_gone = await self._unlink_twins(place, name)
        missing = None
        try:
            await self._client.delete(place.cap, name, node)
        except NoSuchChild as error:
            missing = error
        finally:
            self._lookup.outdate(place.cap)
        if not self._is_sure(place) and await self._is_closed_now(path, place):
            place = await self.place(path, directory, name)
            there = await self._lookup.ask(path, place.cap, place.depth, anew=True)
            if name in there.names and there.names[name].is_same_link(node):
                await self.unlink(path, directory, name, node)
                return
        if missing is not None and not is_gone:
            raise missing

    async def adopt(self, path: Path, directory: Cap, depth: int, name: str, node: Node) -> bool:
        """
        Move a name that a closed directory has for what others have linked to where it belongs,
        where another one may be already. Returns whether it is gone from the directory.

        `depth`: as for `place`.
        """
        if not node.cap.is_known:
            return False
        place = await self.place(path, directory, name, depth)
        try:
            with suppress(ExistingChild):
                link = Link(node.cap, node.metadata)
                await self._client.set_children(place.cap, {name: link})
        finally:
            self._lookup.outdate(place.cap)
        if not self._is_sure(place):
            return False  # it is looked after the next time
        with suppress(NoSuchChild):
            await self._client.unlink(directory, name, node)
        self._lookup.outdate(directory)
        return True

    # What is known of a directory.

    async def _finds_on(self) -> bool:
        """Whether directories may be spread: the root is asked where that was not done lately."""
        layouts = self._lookup.layouts
        if not layouts.is_on and self._now() - layouts.root_asked > self._fanout.pace:
            await self._lookup.ask((), self._lookup.root.cap, 0, anew=False)
        return layouts.is_on

    def _is_sure(self, place: Place) -> bool:
        """Whether a change which is answered now was made before the directory was closed."""
        return not place.is_closing and self._now() - place.asked <= 2 * self._fanout.pace

    async def _is_closed_now(self, path: Path, place: Place) -> bool:
        return (await self._lookup.ask(path, place.cap, place.depth, anew=True)).is_closed

    def _now(self) -> float:
        return float(self._client.reactor.seconds())

    # Links.

    async def _write(
        self, path: Path, place: Place, links: Mapping[str, Link], replace: Replace
    ) -> Outcome:
        outcome = Outcome(failed={} if replace else await self._taken(path, place, links))
        wanted = {name: link for name, link in links.items() if name not in outcome.failed}
        if not wanted:
            return outcome
        marks = await self._marks(path, place, len(wanted))
        try:
            made = await self._client.set_children(place.cap, {**wanted, **marks}, replace=replace)
        except ExistingChild as error:
            if not self._is_sure(place) and await self._is_closed_now(path, place):
                return await self._again(path, place, wanted, replace)
            outcome.failed.update({name: error for name in wanted if name in error.names})
            outcome.refusal = error
            return outcome
        except BaseException:
            # Some of them may be there, or come to be there later.
            self._lookup.forget(path, wanted)
            raise
        finally:
            self._lookup.outdate(place.cap)
        if marks:
            self.builder.note_closing(place.cap)
        self._note_count(place.cap, len(wanted))
        made = {name: made[name] for name in wanted}
        if not self._is_sure(place) and await self._is_closed_now(path, place):
            return await self._look_after(path, place, made, wanted, replace)
        outcome.made.update(made)
        return outcome

    async def _look_after(
        self,
        path: Path,
        place: Place,
        made: Mapping[str, Node],
        links: Mapping[str, Link],
        replace: Replace,
    ) -> Outcome:
        """Make links again that parts do not have, after they were made in a closed directory."""
        outcome = Outcome()
        again = {}
        for name, node in made.items():
            now = await self.place(path, place.way[0], name)
            there = await self._lookup.ask(path, now.cap, now.depth, anew=True)
            if name in there.names and there.names[name].is_same_link(node):
                outcome.made[name] = node
            else:
                again[name] = links[name]
                if is_like_part(name):
                    continue
                with suppress(TahoeError):  # it would come to light when the other one is deleted
                    await self._client.unlink(place.cap, name, node)
        if again:
            outcome.add(await self._again(path, place, again, replace))
        return outcome

    async def _again(
        self, path: Path, place: Place, links: Mapping[str, Link], replace: Replace
    ) -> Outcome:
        return await self.write(path, place.way[0], links, replace)

    async def _taken(self, path: Path, place: Place, names: Iterable[str]) -> dict[str, Exception]:
        """Those names that closed directories on the way have for what others have linked."""
        taken: dict[str, Exception] = {}
        for name in names if place.depth else ():
            with suppress(NoSuchChild):
                await self._lookup.left_behind((*path, name), place.way[:-1])
                taken[name] = ExistingChild(f"the name {name!r} is taken")
        return taken

    async def _unlink_twins(self, place: Place, name: str) -> bool:
        """Take a name out of closed directories on the way; whether it had a meaning there."""
        had_meaning = False
        for cap in place.way[:-1]:
            layout = self._lookup.layouts.get(cap)
            if layout is None or is_like_part(name):
                continue
            if name not in layout.superseded and name not in layout.strays:
                continue
            had_meaning = had_meaning or name in layout.strays
            with suppress(NoSuchChild):
                await self._client.delete(cap, name)
            layout.superseded -= {name}
            layout.strays.pop(name, None)
            self._lookup.outdate(cap)
        return had_meaning

    # Closing, and what comes then.

    async def _marks(self, path: Path, place: Place, more: int) -> dict[str, Link]:
        """A mark to be made along with so many links, where a directory becomes too large."""
        layout = self._lookup.layouts.get(place.cap)
        is_large = layout is not None and layout.count + more > self._fanout.limit
        if not self._spreads or not is_large or place.is_closing:
            return {}
        await self.builder.mark_way(path[:-1])
        return mark("closing")

    def _note_count(self, cap: Cap, more: int) -> None:
        layout = self._lookup.layouts.get(cap)
        if layout is not None:
            layout.count += more
