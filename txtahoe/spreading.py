"""Changes of directories whose names are spread, or may come to be; see `layouts`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from math import inf

from attrs import define, field, frozen

from txtahoe.caps import Cap
from txtahoe.directories import Replace
from txtahoe.errors import ExistingChild, NoSuchChild, TahoeError
from txtahoe.layouts import (
    DIGITS,
    Contents,
    Fanout,
    Layout,
    State,
    digit_of,
    is_like_part,
    mark,
    part_link,
    part_name,
)
from txtahoe.many import each
from txtahoe.names import Names
from txtahoe.nodes import Link, Node
from txtahoe.paths import Path
from txtahoe.questions import Question, Questions

# Directories that are written at the same time for one call.
_AT_ONCE = 8


@frozen
class Place:
    """
    Where a name is to be changed: in the last of `way`, which begins with its directory.

    `asked`: when that was read. `is_closing`: it is so since then, or before.
    """

    way: tuple[Cap, ...]
    asked: float
    is_closing: bool

    @property
    def cap(self) -> Cap:
        return self.way[-1]

    @property
    def depth(self) -> int:
        return len(self.way) - 1


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
        self.made.update(other.made)
        self.failed.update(other.failed)
        self.refusal = self.refusal or other.refusal


class Spreading:
    """
    Changes names where they belong.

    `fanout`: when directories are to be spread; None: never, but what is spread is written right.
    """

    def __init__(self, names: Names, fanout: Fanout | None) -> None:
        self._names = names
        self._client = names.client
        self._fanout = fanout or Fanout()
        self._spreads = fanout is not None
        self._making: Questions[tuple[Cap, str], Cap] = Questions()
        self._closing: Questions[Cap, None] = Questions()

    @property
    def is_on(self) -> bool:
        """Whether directories may be spread. Where not, nothing is asked about them."""
        return self._names.layouts.is_on

    async def place(self, path: Path, directory: Cap, name: str) -> Place:
        """
        Where a name is to be changed now. Parts that are missing are made, and directories closed
        of which it is known for long enough that they are closing.

        `directory`: that of the path, in which the name is.
        """
        if not self.is_on:
            return Place((directory,), -inf, False)
        way = [directory]
        while True:
            cap, depth = way[-1], len(way) - 1
            digit = digit_of(name, depth)
            layout = await self._layout(path, cap, depth)
            if layout.is_closed:
                part = layout.parts.get(digit)
                way.append(part or await self.make_part(path, cap, depth, digit))
            elif self._is_due(layout):
                await self._close(path, cap, depth)
            else:
                return Place(tuple(way), layout.asked, layout.closing_since is not None)

    async def look(self, path: Path, directory: Cap, name: str) -> None:
        """Look ahead where a name will be changed, without changing anything."""
        while True:
            way = self._names.layouts.way(directory, name)
            depth = len(way) - 1
            layout = await self._layout(path, way[-1], depth)
            if digit_of(name, depth) not in layout.parts:
                return

    async def write(
        self, path: Path, directory: Cap, links: Mapping[str, Link], replace: Replace
    ) -> Outcome:
        """Make links to names of a directory, each where it belongs; one write for each part."""
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

    async def unlink(
        self,
        path: Path,
        directory: Cap,
        name: str,
        node: Node,
        unlink: Callable[[Cap], Awaitable[None]],
    ) -> None:
        """Have a name, which leads to `node`, taken away by `unlink` wherever it is."""
        place = await self.place(path, directory, name)
        is_gone = await self._unlink_twins(place, name, node)
        missing = None
        try:
            await unlink(place.cap)
        except NoSuchChild as error:
            missing = error
        finally:
            self._names.outdate(place.cap)
        if not self._is_sure(place) and await self._is_closed_now(path, place):
            place = await self.place(path, directory, name)
            there = await self._names.ask(path, place.cap, place.depth, anew=True)
            if name in there.names and there.names[name].is_same_link(node):
                await self.unlink(path, directory, name, node, unlink)
                return
        if missing is not None and not is_gone:
            raise missing

    async def make(self, links: Mapping[str, Link]) -> Cap:
        """A new directory with first names, which nobody knows of yet."""
        if not self.is_on:
            return await self._client.mkdir(links)
        if len(links) > self._fanout.limit:
            await self.mark_tree()
        return await self.build(links, 0, keep_times=False)

    async def build(self, links: Mapping[str, Link], depth: int, *, keep_times: bool) -> Cap:
        """A new directory, or part, with names that are spread where they are many."""
        if len(links) <= self._fanout.limit:
            asked = self._now()
            cap = await self._client.mkdir(links, keep_times=keep_times)
            self._names.layouts.learn_new(cap, len(links), asked)
            return cap
        slices: dict[str, dict[str, Link]] = {digit: {} for digit in DIGITS}
        for name, link in links.items():
            slices[digit_of(name, depth)][name] = link

        async def build(digit: str) -> Link:
            part = await self.build(slices[digit], depth + 1, keep_times=keep_times)
            return part_link(part, digit)

        children = dict(mark("closed"))
        for digit, part in zip(DIGITS, await each(DIGITS, build, _AT_ONCE), strict=True):
            if isinstance(part, Exception):
                raise part
            children[part_name(digit, ())] = part
        return await self._client.mkdir(children)

    async def close(self, path: Path, directory: Cap, depth: int) -> float:
        """
        Go on with closing a directory, or a part `depth` parts below it. Returns for how many
        seconds it has to be waited, then to go on; 0.0 where it is closed.
        """
        contents = await self._names.ask(path, directory, depth, anew=True)
        if contents.is_closed:
            return 0.0
        layout = self._names.layouts.get(directory)
        if layout is None or layout.closing_since is None:
            await self.mark_tree()
            await self._mark(directory, "closing")
            self._note_closing(directory)
            return self._wait
        left = layout.closing_since + self._wait - self._now()
        if left <= 0:
            await self._close(path, directory, depth)
        return max(left, 0.0)

    async def make_part(self, path: Path, directory: Cap, depth: int, digit: str) -> Cap:
        """
        The part of a closed directory for a digit, made where it is missing.

        `depth`: as for `close`.
        """

        async def make(question: Question[Cap]) -> Cap:
            # Read after it was closed: there are no other names that belong to the part.
            contents = await self._names.ask(path, directory, depth, anew=True)
            if digit not in contents.parts:
                await self._link_part(directory, contents, depth, digit)
                contents = await self._names.ask(path, directory, depth, anew=True)
            return contents.parts[digit]

        return (await self._making.ask((directory, digit), make))[0]

    async def _link_part(self, cap: Cap, contents: Contents, depth: int, digit: str) -> None:
        links = contents.belonging(digit, depth)
        part = await self.build(links, depth + 1, keep_times=True)
        try:
            with suppress(ExistingChild):  # somebody else was faster: theirs is the part
                name = part_name(digit, contents.kept)
                await self._client.set_children(cap, {name: part_link(part, digit)})
        finally:
            self._names.outdate(cap)

    async def mark_tree(self) -> None:
        """See to it that the root has its mark."""
        if not self._names.layouts.is_marked:
            root = self._names.root.cap
            contents = await self._names.ask((), root, 0, anew=True)
            if "tree" not in contents.marks:
                await self._mark(root, "tree")
            self._names.layouts.is_marked = True

    # What is known of a directory.

    async def _layout(self, path: Path, cap: Cap, depth: int) -> Layout:
        """What is known of a directory: that it is closed, or else what is new enough."""
        while True:
            layout = self._names.layouts.get(cap)
            if layout is not None and (layout.is_closed or self._is_new(layout)):
                return layout
            await self._names.ask(path, cap, depth, anew=False)

    def _is_new(self, layout: Layout) -> bool:
        return self._now() - layout.asked < self._fanout.pace

    def _is_due(self, layout: Layout) -> bool:
        since = layout.closing_since
        return since is not None and self._now() - since >= self._wait

    def _is_sure(self, place: Place) -> bool:
        """Whether a change which is answered now was made before the directory was closed."""
        if not self.is_on:
            return True
        return not place.is_closing and self._now() - place.asked <= 2 * self._fanout.pace

    async def _is_closed_now(self, path: Path, place: Place) -> bool:
        return (await self._names.ask(path, place.cap, place.depth, anew=True)).is_closed

    @property
    def _wait(self) -> float:
        return 3 * self._fanout.pace

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
        marks = await self._marks(place, len(wanted))
        try:
            made = await self._client.set_children(place.cap, {**wanted, **marks}, replace=replace)
        except ExistingChild as error:
            if not self._is_sure(place) and await self._is_closed_now(path, place):
                return await self._again(path, place, wanted, replace)
            outcome.failed.update({name: error for name in wanted if name in error.names})
            outcome.refusal = error
            return outcome
        except BaseException:
            for name in wanted:  # some of them may be there, or come to be there later
                self._names.forget((*path, name))
            raise
        finally:
            self._names.outdate(place.cap)
        if marks:
            self._note_closing(place.cap)
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
            there = await self._names.ask(path, now.cap, now.depth, anew=True)
            if name in there.names and there.names[name].mark == node.mark:
                outcome.made[name] = node
            else:
                again[name] = links[name]
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
                await self._names.left_behind((*path, name), place.way[:-1])
                taken[name] = ExistingChild(f"the name {name!r} is taken")
        return taken

    async def _unlink_twins(self, place: Place, name: str, node: Node) -> bool:
        """Take a name out of closed directories on the way; whether it had a meaning there."""
        had_meaning = False
        for cap in place.way[:-1]:
            layout = self._names.layouts.get(cap)
            if layout is None or is_like_part(name):
                continue
            if name not in layout.left and name not in layout.stays:
                continue
            had_meaning = had_meaning or name in layout.stays
            with suppress(NoSuchChild):
                await self._client.unlink(cap, name, node)
            layout.left -= {name}
            layout.stays.pop(name, None)
            self._names.outdate(cap)
        return had_meaning

    # Closing, and what comes then.

    async def _marks(self, place: Place, more: int) -> dict[str, Link]:
        """A mark to be made along with so many links, where a directory becomes too large."""
        layout = self._names.layouts.get(place.cap)
        is_large = layout is not None and layout.count + more > self._fanout.limit
        if not self._spreads or not is_large or place.is_closing:
            return {}
        await self.mark_tree()
        return mark("closing")

    def _note_closing(self, cap: Cap) -> None:
        layout = self._names.layouts.get(cap)
        if layout is not None and layout.closing_since is None:
            layout.closing_since = self._now()

    def _note_count(self, cap: Cap, more: int) -> None:
        layout = self._names.layouts.get(cap)
        if layout is not None:
            layout.count += more

    async def _close(self, path: Path, cap: Cap, depth: int) -> None:
        async def close(question: Question[None]) -> None:
            if not (await self._names.ask(path, cap, depth, anew=True)).is_closed:
                await self._mark(cap, "closed")
                await self._names.ask(path, cap, depth, anew=True)

        await self._closing.ask(cap, close)

    async def _mark(self, cap: Cap, state: State) -> None:
        try:
            await self._client.set_children(cap, mark(state))
        finally:
            self._names.outdate(cap)
