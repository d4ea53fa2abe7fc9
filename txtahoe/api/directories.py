"""Operations on directories: make, list, link, unlink, and move."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from secrets import token_hex
from typing import Any, Literal
from unicodedata import normalize

from txtahoe.api.files import FileOperations, Progress, Uploadable
from txtahoe.api.listings import Children, links_body, links_of, newborn_body, read_listing
from txtahoe.api.operations import base64_of, given, require_directory
from txtahoe.caps import Cap, require_cap
from txtahoe.errors import (
    AnswerLost,
    BadRequest,
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
from txtahoe.http.sources import BytesSource
from txtahoe.nodes import MARK, Link, Node, parse_node

Replace = Literal[False, True, "only-files"]
DirectoryFormat = Literal["SDMF", "MDMF"]

# Seconds. A gateway whose write was disturbed pauses for 2.7, give or take a third, and begins anew
# with a look at the directory. That it can't be read is told sooner where nothing was written.
_FIRST_LOOK = 1.0
# What may be answered, or left unanswered, though the directory was changed all the same.
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
        format: DirectoryFormat | None = None,
        private_key: bytes | None = None,
        keep_times: bool = False,
    ) -> Cap:
        """
        A new directory that no other directory names, empty or with `children`; its write cap.

        `private_key`: as for `create_mutable`. `keep_times`: the links are those of another
        directory, and have their times from there.

        Raises: ValueError for a format or a key together with children: the gateway ignores them.
        """
        if not children:
            query = given(t="mkdir", format=format, private_key=base64_of(private_key))
            repeat = private_key is None
            return await self._make(query, repeat=repeat)
        if format or private_key:
            raise ValueError("a directory with children can't have a format or a private key")
        return await self._make({"t": "mkdir-with-children"}, newborn_body(children, keep_times))

    async def mkdir_immutable(self, children: Children) -> Cap:
        """
        A directory that never changes, of files and directories that never change; its read cap.

        Raises: BadRequest where a child can change.
        """
        return await self._make({"t": "mkdir-immutable"}, links_body(links_of(children, {})))

    async def _make(
        self, query: Mapping[str, str], body: BytesSource | None = None, repeat: bool = True
    ) -> Cap:
        await self._require_servers()
        return await self._cap(
            "POST", ["uri"], query, "making a directory", body, repeat=repeat, changes=True
        )

    async def info(self, cap: Cap) -> Node:
        """What a cap names."""
        require_cap(cap)
        return parse_node(
            await self._json("GET", ["uri", cap], {"t": "json"}, f"asking about {cap!r}")
        )

    async def list(self, directory: Cap, *, changes: bool = False) -> dict[str, Node]:
        """
        The children of a directory, by name. Raises: NotADirectory.

        `changes`: ask the one of several gateways that makes the changes, which answers when those
        that it is at are made.
        """
        require_directory(directory)
        doing = f"listing {directory!r}"
        request = Request("GET", ["uri", directory], {"t": "json"}, doing=doing, changes=changes)
        reactor = self._transport.reactor
        return await read_listing(reactor, await self._transport.ask(request, repeat=True), doing)

    async def child(self, directory: Cap, name: str) -> Node:
        """One child of a directory. Raises: NoSuchChild, NotADirectory."""
        require_directory(directory)
        doing = f"looking up a name in {directory!r}"
        path: list[Cap | str] = ["uri", directory, name]
        node = parse_node(await self._json("GET", path, {"t": "json"}, doing))
        if not node.is_directory:
            return node
        # Of a sub-directory the gateway tells the link's metadata in the parent's listing only.
        try:
            return (await self.list(directory))[_normal(name)]
        except KeyError:
            raise NoSuchChild(f"{doing}: no such child: {name}") from None

    async def child_cap(self, directory: Cap, name: str) -> Cap:
        """
        The cap of one child; for a sub-directory cheaper than `child`, which has it listed.

        Raises: NoSuchChild, NotADirectory.
        """
        require_directory(directory)
        doing = f"looking up a name in {directory!r}"
        return await self._cap("GET", ["uri", directory, name], {"t": "uri"}, doing)

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

        `replace`: whether what has the name may lose it: False, "only-files", or True.

        Raises: as `set_children`.
        """
        await self.set_children(directory, {name: Link(cap, metadata or {})}, replace=replace)

    async def set_children(
        self,
        directory: Cap,
        children: Children,
        *,
        replace: Replace = False,
    ) -> dict[str, Node]:
        """
        Give caps names in a directory, all of them or none, for the price of one.

        `replace`: as for `link`. Returns what the names lead to then, but for the times.

        An answer that leaves it open whether the links were made is settled by reading back. Caps
        alone would not settle it, since equal files have equal caps: links carry a mark of the
        write that made them in their metadata.

        Raises: ExistingChild, which tells the names, where one is taken, be it by the same cap;
        NotWriteable; NotADirectory; UnknownOutcome if it may come later, or reading back failed.
        """
        if not children:
            return {}
        what = repr(next(iter(children))) if len(children) == 1 else f"{len(children)} names"
        doing = f"linking {what} in {directory!r}"
        mark = token_hex(6)
        links = links_of(children, {MARK: mark})

        async def is_done(failure: TahoeError) -> bool:
            there = await self._some_of(directory, list(children))
            if any(node.mark == mark for node in there.values()):
                return True
            if isinstance(failure, ExistingChild):
                failure.names = frozenset(
                    name for name in there if not replace or there[name].is_directory
                )
                raise failure
            return False

        def request() -> Awaitable[bytes]:
            return self._transport.ask(
                Request(
                    "POST",
                    ["uri", directory],
                    {"t": "set_children", "replace": str(replace).lower()},
                    doing=doing,
                    body=links_body(links),
                    changes=True,
                )
            )

        await self._change(request, directory, is_done)
        return {name: link.node for name, link in links.items()}

    async def unlink(self, directory: Cap, name: str, expected: Node) -> None:
        """
        Take a name out of a directory, where it leads to `expected`.

        The gateway deletes by name alone, so this looks first. A link that another client makes
        between the look and the deletion is deleted; a `Tree` lets no other user of it do that.

        Raises: NoSuchChild, also where the name leads to something else; NotWriteable;
        NotADirectory; UnknownOutcome.
        """
        _require_writable(directory)
        there = (await self._some_of(directory, [name])).get(_normal(name))
        if there is None or not there.is_same_link(expected):
            raise NoSuchChild(f"unlinking {name!r} in {directory!r}: it is not there any more")
        await self.delete(directory, name, there)

    async def delete(self, directory: Cap, name: str, seen: Node | None = None) -> None:
        """
        Take a name out of a directory, whatever it leads to.

        `seen`: the link that the caller has just seen. After a lost answer no other one is deleted.

        Raises: as `unlink`.
        """

        made_meanwhile: tuple[type[Exception], ...] = ()

        async def is_done(failure: TahoeError) -> bool:
            nonlocal made_meanwhile
            made_meanwhile = (NoSuchChild,)  # the gateway may get to that request after this look
            there = (await self._some_of(directory, [name])).get(_normal(name))
            return there is None or (seen is not None and not there.is_same_link(seen))

        async def request() -> None:
            doing = f"unlinking {name!r} in {directory!r}"
            asked = Request("DELETE", ["uri", directory, name], doing=doing, changes=True)
            with suppress(*made_meanwhile):
                await self._transport.ask(asked)

        await self._change(request, directory, is_done)

    async def rename(self, directory: Cap, old: str, new: str, *, replace: Replace = False) -> None:
        """Give a child of a directory another name there. Raises: as `relink`."""
        await self.relink(directory, old, directory, new, replace=replace)

    async def relink(
        self,
        directory: Cap,
        old: str,
        to_directory: Cap,
        new: str,
        *,
        replace: Replace = False,
    ) -> None:
        """
        Move a link, with its metadata, to another name or directory. It makes the new link first,
        and then unlinks the old one, if that is the same still: one of them is always there.

        Raises: NoSuchChild; BadRequest for a child of an unknown kind; and as `link`.
        """
        if (directory, _normal(old)) == (to_directory, _normal(new)):
            return
        node = await self.child(directory, old)
        if not node.cap.is_known:
            raise BadRequest(f"{node.cap!r} can't be moved: its rights are not known")
        await self.link(to_directory, new, node.cap, replace=replace, metadata=node.metadata)
        with moving(old):
            await self.unlink(directory, old, node)

    async def put(
        self,
        directory: Cap,
        name: str,
        source: Uploadable,
        *,
        replace: Replace = False,
        format: Literal["CHK", "SDMF", "MDMF"] = "CHK",
        progress: Progress | None = None,
    ) -> Cap:
        """
        Upload a file and give it a name: `upload` or `create_mutable`, then `link`.

        The gateway's own `PUT DC/N` would write a *mutable* file of that name in place, and
        could not be repeated without a doubt.
        """
        if format == "CHK":
            cap = await self.upload(source, progress=progress)
        else:
            cap = await self.create_mutable(source, format=format, progress=progress)
        await self.link(directory, name, cap, replace=replace)
        return cap

    async def mkdir_in(
        self,
        directory: Cap,
        name: str,
        children: Children | None = None,
        *,
        immutable: bool = False,
        format: DirectoryFormat | None = None,
        replace: Replace = False,
    ) -> Cap:
        """
        Make a directory and give it a name: `mkdir` or `mkdir_immutable`, then `link`.

        The gateway's own `t=mkdir&name=` replaces a directory of that name by an empty one unless
        it is told not to.
        """
        if immutable:
            cap = await self.mkdir_immutable(children or {})
        else:
            cap = await self.mkdir(children, format=format)
        await self.link(directory, name, cap, replace=replace)
        return cap

    async def _change(
        self,
        request: Callable[[], Awaitable[object]],
        directory: Cap,
        is_done: Callable[[TahoeError], Awaitable[bool]],
    ) -> None:
        """Change links; after an ambiguous answer `is_done` reads back and tells."""
        _require_writable(directory)
        await self._require_servers()
        in_doubt = False  # the gateway may still be at a request whose answer was lost
        for pause in (*self._transport.pauses, None):
            asked = self._transport.reactor.seconds()
            try:
                await request()
                return
            except GatewayUnreachable as error:
                failure: TahoeError = error
                is_last = not error.transient
            except _AMBIGUOUS as error:
                failure = error
                is_quick = self._transport.reactor.seconds() - asked < _FIRST_LOOK
                is_untouched = is_quick and isinstance(error, Unrecoverable)
                if not is_untouched and await self._settled(is_done, error):
                    return
                in_doubt |= isinstance(error, AnswerLost | RequestTimeout)
                is_last = isinstance(error, RequestTimeout)
            if pause is None or is_last:
                break
            await self._transport.sleep(pause)
        if in_doubt:
            raise UnknownOutcome(f"{failure}. It may still be done later") from failure
        raise failure

    async def _settled(
        self, is_done: Callable[[TahoeError], Awaitable[bool]], failure: TahoeError
    ) -> bool:
        try:
            return await is_done(failure)
        except TahoeError as error:
            if error is failure:
                raise
            unread = f"{failure}. It may be done: reading the directory back failed too: {error}"
            raise UnknownOutcome(unread) from error

    async def _some_of(self, directory: Cap, names: Sequence[str]) -> Mapping[str, Node]:
        """The children of these names, of those that are there."""
        children = await self.list(directory, changes=True)
        return {name: children[name] for name in map(_normal, names) if name in children}


@contextmanager
def moving(old: str) -> Iterator[None]:
    """
    While this lasts, an old name is unlinked whose object has its new name. The old name may be
    gone, or lead to another file by then.

    Raises: UnknownOutcome where that fails: the object may have both names.
    """
    try:
        yield
    except NoSuchChild:
        pass
    except TahoeError as error:
        raise UnknownOutcome(
            f"the new name is linked, and the old one, {old!r}, may be there too: {error}"
        ) from error


def _require_writable(directory: Cap) -> None:
    """Raises: NotADirectory; NotWriteable."""
    require_directory(directory)
    if not directory.is_writable:
        raise NotWriteable(f"{directory!r} does not give the right to write")


def _normal(name: str) -> str:
    return normalize("NFC", name)
