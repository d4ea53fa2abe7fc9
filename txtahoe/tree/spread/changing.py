"""Links and unlinks names where they belong, while directories are spread; see `states`."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress

from attrs import define, field, frozen

from txtahoe.api.directories import Replace, unknown
from txtahoe.caps import Cap
from txtahoe.concurrency import each
from txtahoe.errors import (
    ExistingChild,
    NoSuchChild,
    NotADirectory,
    TahoeError,
    UnknownOutcome,
    Unrecoverable,
)
from txtahoe.nodes import Link, Node
from txtahoe.tree.lookup import Lookup
from txtahoe.tree.paths import Path
from txtahoe.tree.spread.building import Builder
from txtahoe.tree.spread.format import Contents, digit_of, is_like_part, mark, onward
from txtahoe.tree.spread.states import RULES, Fanout, State

# Directories that are written at the same time for one call.
_AT_ONCE = 8


@frozen
class Target:
    """
    The directory or part in which a name is to be changed.

    `way`: the directories that lead to it; it is the last one. `depth`: how many parts it is below
    its directory. `asked`, `state`: when its last reading began, and the known state. If nothing is
    spread, `asked` is the time of the root's last reading.
    """

    way: tuple[Cap, ...]
    depth: int
    asked: float
    state: State

    @property
    def cap(self) -> Cap:
        return self.way[-1]


@define
class Outcome:
    """
    The results of links in one directory, by name: what the name leads to, or why it was not
    linked. A name without a result was refused together with others; `refusal` is the gateway's
    answer.
    """

    results: dict[str, Node | Exception] = field(factory=dict)
    refusal: ExistingChild | None = None

    def add(self, other: Outcome) -> None:
        """Add the results of other names, or of another attempt with some that had failed."""
        self.results |= other.results
        self.refusal = self.refusal or other.refusal


class Changer:
    """
    Changes names where they belong.

    `fanout`: when to spread directories. None: this tree closes none, but it changes directories
    that others have spread as it must.

    All methods raise the errors of `Client`.
    """

    def __init__(self, lookup: Lookup, fanout: Fanout | None) -> None:
        self._lookup = lookup
        self._client = lookup.client
        self._layouts = lookup.layouts
        self._now = lookup.now
        self.fanout = fanout
        self.builder = Builder(lookup, fanout or Fanout())

    def begin(self, fanout: Fanout) -> None:
        """Spread directories from now on."""
        self.fanout = self.builder.fanout = fanout
        self._layouts.is_on = True

    async def target(self, path: Path, directory: Cap, name: str, depth: int = 0) -> Target:
        """
        The target for a change of a name now. On the way there, this makes missing parts, and
        closes directories that are due.

        `directory`: that of the path, in which the name is; or a part, `depth` parts below it.
        """
        if not await self._finds_on():
            return Target((directory,), 0, self._layouts.root_asked, State.OPEN)
        way = [directory]
        while True:
            cap = way[-1]
            layout = await self.builder.layout(path, cap, depth)
            if self.builder.is_due(layout):
                await self.builder.finish_closing(path, cap, depth)
            elif RULES[layout.state].takes_names:
                return Target(tuple(way), depth, layout.asked, layout.state)
            else:
                digit = digit_of(name, depth)
                part = layout.parts.get(digit)
                part = part or await self.builder.make_part(path, cap, depth, digit)
                way = onward(path, way, part)
                depth += 1

    async def look_ahead(self, path: Path, directory: Cap, name: str) -> None:
        """Read what `target` will need, without changing anything."""
        way = [directory]
        while await self._finds_on():
            depth = len(way) - 1
            layout = await self.builder.layout(path, way[-1], depth)
            part = layout.parts.get(digit_of(name, depth))
            if part is None:
                return
            way = onward(path, way, part)

    async def learn_marks(self, path: Path, directory: Cap) -> None:
        """
        Find out whether a directory that is about to be moved has a mark: the directories above its
        new place then need one. A directory that cannot be read can be moved all the same.
        """
        if await self._finds_on():
            with suppress(NotADirectory, Unrecoverable):
                await self._lookup.ask(path, directory, 0, anew=True)

    async def _finds_on(self) -> bool:
        """Whether directories may be spread. If the reading of the root is old, this reads it."""
        age = self._now() - self._layouts.root_asked
        if not self._layouts.is_on and not self.builder.fanout.may_use(State.OPEN, age):
            await self._lookup.ask((), self._lookup.root.cap, 0, anew=False)
        return self._layouts.is_on

    def _is_sure(self, target: Target) -> bool:
        """Whether a change that is answered now came before the target was closed."""
        return self.builder.fanout.is_sure(target.state, self._now() - target.asked)

    async def _is_too_late(self, path: Path, target: Target) -> bool:
        """
        Whether a change that is answered now may have come into a closed directory.

        Call it after every change of a target, and repeat the change in the part if it is True.
        """
        return not self._is_sure(target) and (await self._ask(path, target)).is_closed

    async def _has_link(self, path: Path, directory: Cap, name: str, node: Node) -> bool:
        """Whether the target of a name links it as another directory did."""
        target = await self.target(path, directory, name)
        contents = await self._ask(path, target)
        if contents.is_closed:  # another process has closed it before this reading
            return await self._has_link(path, directory, name, node)
        there = contents.names.get(name)
        return there is not None and there.is_same_link(node)

    async def _ask(self, path: Path, target: Target) -> Contents:
        return await self._lookup.ask(path, target.cap, target.depth, anew=True)

    # Unlinking.

    async def unlink(self, path: Path, directory: Cap, name: str, node: Node) -> None:
        """
        Unlink a name wherever it is. `node`: what it leads to, as the caller has just seen.

        Raises: NoSuchChild; UnknownOutcome also if the look after the change fails.
        """
        target = await self.target(path, directory, name)
        was_stray = await self._unlink_above(path, target, name)
        missing = None
        try:
            with self._lookup.changing(path, target.cap), _changed(was_stray):
                await self._client.delete(target.cap, name, node)
        except NoSuchChild as error:
            missing = error
        is_deleted = was_stray or missing is None
        with _changed(is_deleted):
            # The part may have taken the link over before it was deleted. If the part has another
            # link, that is a new file: it stays.
            is_too_late = await self._is_too_late(path, target)
            if is_too_late and await self._has_link(path, directory, name, node):
                with suppress(*[NoSuchChild] if is_deleted else []):
                    await self.unlink(path, directory, name, node)
                return
        if missing is not None and not was_stray:
            raise missing

    async def _unlink_above(self, path: Path, target: Target, name: str) -> bool:
        """
        Unlink a name in the closed directories above its target; whether it was a stray there.

        Other Tahoe clients, which know nothing of parts, would show the file there otherwise.
        """
        was_stray = False
        for cap in target.way[:-1]:
            layout = self._layouts.get(cap)
            is_stray = name in layout.strays
            if is_like_part(name) or not (is_stray or name in layout.superseded):
                continue
            with self._lookup.changing(path, cap), _changed(was_stray), suppress(NoSuchChild):
                await self._client.delete(cap, name)
            was_stray = was_stray or is_stray
            layout.superseded -= {name}
        return was_stray

    async def adopt(self, path: Path, directory: Cap, depth: int, name: str, node: Node) -> None:
        """
        Move a stray of a closed directory into its part. If the part has such a name, that stays.

        `depth`: as for `target`. Another process may have deleted the stray since the caller has
        read it, so this reads the directory again.
        """
        if not node.cap.is_known:
            return
        target = await self.target(path, directory, name, depth)
        contents = await self._lookup.ask(path, directory, depth, anew=True)
        stray = contents.strays.get(name)
        if stray is None or not stray.is_same_link(node):
            return
        with self._lookup.changing(path, target.cap), suppress(ExistingChild):
            link = Link(node.cap, node.metadata)
            await self._client.set_children(target.cap, {name: link}, mark=node.mark)
        if self._is_sure(target):  # if not, the next run of maintenance adopts it
            with self._lookup.changing(path, directory), suppress(NoSuchChild):
                await self._client.unlink(directory, name, node)

    # Linking.

    async def write(
        self, path: Path, directory: Cap, links: Mapping[str, Link], replace: Replace
    ) -> Outcome:
        """
        Link names in a directory, each where it belongs, with one write for each target.

        The result of a name is UnknownOutcome also if the look after its change fails.
        """
        began = self._now()
        if self.builder.leads_to_spread(links):
            await self.builder.mark_path(path)
        groups: dict[Cap, tuple[Target, dict[str, Link]]] = {}
        targets = await each(links, lambda name: self.target(path, directory, name), len(links))
        outcome = Outcome()
        for (name, link), target in zip(links.items(), targets, strict=True):
            if isinstance(target, Exception):
                outcome.results[name] = target
            else:
                groups.setdefault(target.cap, (target, {}))[1][name] = link

        def write(group: tuple[Target, dict[str, Link]]) -> Awaitable[Outcome]:
            return self._write(path, *group, replace)

        results = await each(groups.values(), write, min(_AT_ONCE, len(groups)))
        for (_, names), result in zip(groups.values(), results, strict=True):
            if isinstance(result, Exception):
                outcome.results.update(dict.fromkeys(names, result))
            else:
                outcome.add(result)
        made = {name: node for name, node in outcome.results.items() if isinstance(node, Node)}
        await self._lookup.learn_change(path, directory, made, began)
        return outcome

    async def _write(
        self, path: Path, target: Target, links: Mapping[str, Link], replace: Replace
    ) -> Outcome:
        strays = set() if replace else await self._taken(path, target, links.keys())
        outcome = Outcome({name: taken(name) for name in strays})
        wanted = {name: link for name, link in links.items() if name not in outcome.results}
        if not wanted:
            return outcome
        marks = await self._closing_mark(path, target, len(wanted))
        try:
            with self._lookup.changing(path, target.cap):
                links = {**wanted, **marks}
                nodes = await self._client.set_children(target.cap, links, replace=replace)
        except ExistingChild as error:
            if await self._is_too_late(path, target):
                return await self.write(path, target.way[0], wanted, replace)
            for name in wanted.keys() & error.names:
                self._lookup.note((*path, name), is_there=True)
                outcome.results[name] = error
            outcome.refusal = error
            return outcome
        except BaseException:
            # The gateway may have made some of the links, or make them later.
            self._lookup.forget(path, wanted)
            raise
        layout = self._layouts.get(target.cap)
        layout.count += len(wanted)
        if marks:
            layout.note_state(State.CLOSING, self._now())
        made = {name: nodes[name] for name in wanted}
        if not self._is_sure(target):
            self._lookup.forget(path, wanted)  # if the look fails, they are in doubt
        with _changed():
            if await self._is_too_late(path, target):
                return await self._repeat_in_parts(path, target, made, wanted, replace)
        outcome.results.update(made)
        return outcome

    async def _repeat_in_parts(
        self,
        path: Path,
        late: Target,
        made: Mapping[str, Node],
        links: Mapping[str, Link],
        replace: Replace,
    ) -> Outcome:
        """Look after links that were made in a closed directory; link those that no part has."""
        outcome = Outcome()
        again, staying = {}, set()
        for name, node in made.items():
            if await self._has_link(path, late.way[0], name, node):
                outcome.results[name] = node
                continue
            again[name] = links[name]
            try:  # a stray that stays would show when the name is deleted
                if not is_like_part(name):
                    await self._client.unlink(late.cap, name, node, missing_ok=True)
            except TahoeError:
                staying.add(name)
        if again:
            outcome.add(await self.write(path, late.way[0], again, replace))
        for name in again:  # maintenance can have moved the stray into the part meanwhile
            is_refused = isinstance(outcome.results.get(name), ExistingChild)
            if is_refused and await self._has_link(path, late.way[0], name, made[name]):
                outcome.results[name] = made[name]
        for name in staying:  # a stray counts, unless the part has such a name
            result = outcome.results.get(name)
            if not isinstance(result, Node | UnknownOutcome):
                outcome.results[name] = _in_doubt(result or outcome.refusal)
        return outcome

    async def _taken(self, path: Path, target: Target, names: Set[str]) -> set[str]:
        """The names that are taken by strays in closed directories above a target."""
        found: set[str] = set()
        for depth, cap in enumerate(target.way[:-1]):
            if names & self._layouts.get(cap).strays.keys():
                found |= names & (await self._lookup.ask(path, cap, depth, anew=True)).strays.keys()
        return found

    async def _closing_mark(self, path: Path, target: Target, more: int) -> dict[str, Link]:
        """The mark "closing", to be made by the same write, if a directory becomes too large."""
        count = self._layouts.get(target.cap).count + more
        if self.fanout is None or not self.fanout.is_too_large(target.state, count):
            return {}
        await self.builder.mark_path(path[:-1])
        return mark("closing")


@contextmanager
def _changed(is_changed: bool = True) -> Iterator[None]:
    """
    For a block that goes on after a change. Raises: UnknownOutcome for errors in it, but not for
    NoSuchChild.
    """
    try:
        yield
    except (NoSuchChild, UnknownOutcome):
        raise
    except TahoeError as error:
        if not is_changed:
            raise
        raise _in_doubt(error) from error


def _in_doubt(error: Exception | None) -> UnknownOutcome:
    return unknown(f"{error}. The change was made before, and may count")


def taken(name: str) -> ExistingChild:
    """The error for a name that leads to something else."""
    return ExistingChild(f"the name {name!r} is taken")
