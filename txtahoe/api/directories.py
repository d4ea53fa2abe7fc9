"""Operations on directories: make, list, link, unlink, and move."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from logging import getLogger
from secrets import token_hex
from time import time
from typing import Any, Literal
from unicodedata import normalize

from txtahoe.api.files import FileOperations, MutableFormat
from txtahoe.api.listings import Children, links_body, links_of, read_listing
from txtahoe.api.operations import given, require_directory
from txtahoe.caps import Cap, require_cap
from txtahoe.errors import (
    AnswerLost,
    ClientClosed,
    ExistingChild,
    GatewayError,
    GatewayUnreachable,
    NoSuchChild,
    NotEnoughServers,
    NotWriteable,
    RequestTimeout,
    TahoeError,
    UncoordinatedWrite,
    UnknownOutcome,
    Unrecoverable,
)
from txtahoe.http.request import Request
from txtahoe.nodes import MARK, Link, Node, parse_node

logger = getLogger("txtahoe")

Replace = Literal[False, True, "only-files"]

# Seconds. A gateway whose write was disturbed pauses for 2.7, give or take a third, and begins anew
# with a look at the directory. If it can't read that before it has written, it says so sooner.
_FIRST_LOOK = 1.0
# After these errors the gateway may have changed the directory all the same.
_AMBIGUOUS = (
    AnswerLost,
    RequestTimeout,
    GatewayError,
    UncoordinatedWrite,
    Unrecoverable,
    NotEnoughServers,
    ExistingChild,
)


class DirectoryOperations(FileOperations):
    """Directories, and the links in them."""

    async def mkdir(
        self,
        children: Children | None = None,
        *,
        format: MutableFormat | None = None,
        keep_times: bool = False,
    ) -> Cap:
        """
        A new directory that no other directory names, empty or with `children`; its write cap.

        `keep_times`: the links are those of another directory, and have their times from there.

        Raises: ValueError for a format together with children: the gateway ignores it.
        """
        if not children:
            return await self._make(given(t="mkdir", format=format))
        if format:
            raise ValueError("a directory with children can't have a format")
        # Here the gateway does not set the times itself.
        now = time()
        times = {"tahoe": {"linkcrtime": now, "linkmotime": now}}
        links = links_of(children, {}, times) if keep_times else links_of(children, times)
        return await self._make({"t": "mkdir-with-children"}, links)

    async def mkdir_immutable(self, children: Children) -> Cap:
        """An immutable directory; its read cap. Raises: BadRequest if a child can change."""
        return await self._make({"t": "mkdir-immutable"}, links_of(children, {}))

    async def _make(self, query: Mapping[str, str], links: Mapping[str, Link] | None = None) -> Cap:
        await self._require_servers()
        body = None if links is None else links_body(links)
        doing = "making a directory"
        request = Request("mkdir", "POST", ["uri"], query, doing=doing, body=body, changes=True)
        return await self._cap(request)

    async def info(self, cap: Cap) -> Node:
        """The node that a cap names."""
        require_cap(cap)
        return await self._node(["uri", cap], f"asking about {cap!r}")

    async def _node(self, path: Sequence[Cap | str], doing: str) -> Node:
        return parse_node(
            await self._json(Request("info", "GET", path, {"t": "json"}, doing=doing))
        )

    async def list(self, directory: Cap, *, changes: bool = False) -> dict[str, Node]:
        """
        The children of a directory, by name. Raises: NotADirectory.

        `changes`: ask the one of several gateways that makes the changes. It answers when it
        has made those that are under way.
        """
        require_directory(directory)
        doing = f"listing {directory!r}"
        request = Request(
            "list", "GET", ["uri", directory], {"t": "json"}, doing=doing, changes=changes
        )
        reactor = self._transport.reactor
        return await read_listing(reactor, await self._transport.ask(request, repeat=True), doing)

    async def child(self, directory: Cap, name: str) -> Node:
        """One child of a directory. Raises: NoSuchChild, NotADirectory."""
        require_directory(directory)
        doing = f"looking up a name in {directory!r}"
        node = await self._node(["uri", directory, name], doing)
        if not node.is_directory:
            return node
        # Of a sub-directory the gateway tells the link's metadata in the parent's listing only.
        try:
            return (await self.list(directory))[_normal(name)]
        except KeyError:
            raise NoSuchChild(f"{doing}: no such file or directory: {name!r}") from None

    async def link(
        self,
        directory: Cap,
        name: str,
        cap: Cap,
        *,
        replace: Replace = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """
        Give `cap` a name in a directory.

        `replace`: whether another object may lose the name: False, "only-files", or True.

        Raises: as `set_children`; ValueError for an empty name.
        """
        if not name:  # no path leads to it
            raise ValueError("a name must not be empty")
        await self.set_children(directory, {name: Link(cap, metadata or {})}, replace=replace)

    async def set_children(
        self,
        directory: Cap,
        children: Children,
        *,
        replace: Replace = False,
        mark: str | None = None,
    ) -> dict[str, Node]:
        """
        Give caps names in a directory, all of them or none, for the price of one.

        `replace`: as for `link`. `mark`: of a link that is moved here, so that the write that has
        made it finds it. Returns the nodes that the names lead to then, without times.

        If an answer leaves it open whether the gateway made the links, this reads the directory
        back. Caps alone do not tell, because equal files have equal caps: links carry a mark of the
        write that made them in their metadata.

        Raises: ExistingChild, which tells the names, if one is taken, even by the same cap;
        NotWriteable; NotADirectory; UnknownOutcome if it may come later, or reading back failed.
        """
        if not children:
            return {}
        what = repr(next(iter(children))) if len(children) == 1 else f"{len(children)} names"
        doing = f"linking {what} in {directory!r}"
        mark = mark or token_hex(6)
        links = links_of(children, {MARK: mark})

        def is_done(failure: TahoeError, now: Mapping[str, Node]) -> bool:
            there = {name: now[name] for name in map(_normal, children) if name in now}
            if any(node.mark == mark for node in there.values()):
                return True
            if isinstance(failure, ExistingChild):
                failure.names = frozenset(
                    name for name in there if not replace or there[name].is_directory
                )
                raise failure
            return False

        query = {"t": "set_children", "replace": str(replace).lower()}
        body = links_body(links)
        request = Request(
            "link", "POST", ["uri", directory], query, doing=doing, body=body, changes=True
        )
        await self._change(lambda: self._transport.ask(request), directory, is_done)
        return {name: link.node for name, link in links.items()}

    async def unlink(
        self,
        directory: Cap,
        name: str,
        expected: Node | None = None,
        *,
        missing_ok: bool = False,
    ) -> None:
        """
        Take a name out of a directory; with `expected` only if it leads to that.

        The gateway deletes by name alone, so this looks first. It deletes a link that another
        client makes between the look and the deletion; a `Tree` lets no other user of it do that.

        `missing_ok`: a name that is not there, or leads to something else, is no error.

        Raises: NoSuchChild, also if the name leads to something else; NotWriteable;
        NotADirectory; UnknownOutcome.
        """
        _require_writable(directory)
        with suppress(*[NoSuchChild] if missing_ok else []):
            there = (await self.list(directory, changes=True)).get(_normal(name))
            if there is None or not there.is_same_link(expected or there):
                raise NoSuchChild(f"unlinking {name!r} in {directory!r}: it is not there")
            await self.delete(directory, name, there)

    async def delete(self, directory: Cap, name: str, seen: Node | None = None) -> None:
        """
        Take a name out of a directory, whatever it leads to.

        `seen`: the link that the caller has just seen. After a lost answer this deletes no other.

        Raises: as `unlink`.
        """
        doing = f"unlinking {name!r} in {directory!r}"
        # No DELETE: changes that are sent later would overtake it (docs/gateway.md 2.15).
        query = {"t": "unlink", "name": name}
        request = Request("unlink", "POST", ["uri", directory], query, doing=doing, changes=True)
        done_by_an_earlier_one: tuple[type[Exception], ...] = ()

        def is_done(failure: TahoeError, now: Mapping[str, Node]) -> bool:
            nonlocal done_by_an_earlier_one
            # The gateway may get to the request after this look.
            done_by_an_earlier_one = (NoSuchChild,)
            there = now.get(_normal(name))
            return there is None or (seen is not None and not there.is_same_link(seen))

        async def delete() -> None:
            with suppress(*done_by_an_earlier_one):
                await self._transport.ask(request)

        await self._change(delete, directory, is_done)

    async def _change(
        self,
        request: Callable[[], Awaitable[object]],
        directory: Cap,
        is_done: Callable[[TahoeError, Mapping[str, Node]], bool],
    ) -> None:
        """Change links; after an ambiguous answer read the directory back and ask `is_done`."""
        _require_writable(directory)
        await self._require_servers()
        in_doubt = False  # the gateway may still be at a request whose answer was lost
        for pause in (*self._transport.pauses, None):
            asked = self._transport.reactor.seconds()
            try:
                await request()
                return
            except (GatewayUnreachable, ClientClosed) as error:
                failure: TahoeError = error
                is_last = not error.transient
            except _AMBIGUOUS as error:
                failure = error
                is_quick = self._transport.reactor.seconds() - asked < _FIRST_LOOK
                is_untouched = is_quick and isinstance(error, Unrecoverable)
                if not is_untouched and is_done(error, await self._read_back(directory, error)):
                    return
                in_doubt |= isinstance(error, AnswerLost | RequestTimeout)
                is_last = isinstance(error, RequestTimeout)
            if pause is None or is_last:
                break
            try:
                await self._transport.pause(pause, failure)
            except ClientClosed as error:
                failure = error
                break
        if in_doubt:
            raise unknown(f"{failure}. It may still be done later") from failure
        raise failure

    async def _read_back(self, directory: Cap, failure: TahoeError) -> Mapping[str, Node]:
        try:
            return await self.list(directory, changes=True)
        except TahoeError as error:
            unread = f"{failure}. It may be done: reading the directory back failed too: {error}"
            raise unknown(unread) from error


@contextmanager
def moving(old: str) -> Iterator[None]:
    """
    For a block that unlinks the old name of an object which has its new name. The old name may
    be gone by then, or lead to another file.

    Raises: UnknownOutcome if the block fails: the object may have both names.
    """
    try:
        yield
    except NoSuchChild:
        pass
    except TahoeError as error:
        raise unknown(
            f"the new name is linked, and the old one, {old!r}, may be there too: {error}"
        ) from error


def unknown(message: str) -> UnknownOutcome:
    """The error for a change that may have been made, or not; the log tells it too."""
    error = UnknownOutcome(message)
    logger.error("%s", error)
    return error


def _require_writable(directory: Cap) -> None:
    """Raises: NotADirectory; NotWriteable."""
    require_directory(directory)
    if not directory.is_writable:
        raise NotWriteable(f"{directory!r} does not give the right to write")


def _normal(name: str) -> str:
    return normalize("NFC", name)
