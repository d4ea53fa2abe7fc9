"""The targets of names, shared by processes through a Django cache."""

from __future__ import annotations

import hmac
import json
import logging
from base64 import urlsafe_b64encode
from collections.abc import Callable, Collection
from time import monotonic
from typing import TypeVar
from weakref import WeakValueDictionary

from attrs import evolve
from cryptography.fernet import Fernet, InvalidToken
from django.core.cache import BaseCache, caches

from txtahoe.caps import Cap
from txtahoe.errors import NotAGateway
from txtahoe.nodes import Link, Node, parse_json, parse_node
from txtahoe.sealing import sealed
from txtahoe.tree.paths import Path

T = TypeVar("T")

logger = logging.getLogger("tahoestorage")

# An answer that is older, in seconds, is not added. A mark lasts longer: by the time that an answer
# takes to come, or a process is held up; and by the half minute in which the gateway can make a
# change of unknown outcome (txtahoe/docs/gateway.md 2.8). They are no options: the processes must
# agree.
_PROMPT_SECONDS = 60
_MARK_SECONDS = 3 * _PROMPT_SECONDS
_MARK = b""  # is no entry of any name, so it reads as none
# Answers that a cache has, or had: if one was added again, an old entry would become new. One table
# for all storages, because they can share a tree and its memory.
_told: WeakValueDictionary[int, Node] = WeakValueDictionary()


class SharedCache:
    """
    File and directory caps in the Django cache `alias`; if that is None, nothing is kept.

    A reader of the cache learns neither names nor caps; a writer cannot make an entry, nor move one
    to another name. A cache that fails counts as empty. Missing names are not kept.

    Files. Their keys are made of the read-cap, so that read-only storages see changes. A look-up
    can end after a change that began later. So an answer never replaces an entry, and a change
    marks its name twice, see `mark`: before it, in case the process dies in it; after it, so that
    the mark outlasts older answers. A save under a free name needs no mark: there is no entry.

    Directories. Their keys are made of `base_cap`. A directory keeps its cap for ever, even while
    it is removed (see `Tree.remove_directory`). An entry does not say that the directory is there.

    An old entry can stay for the TIMEOUT of the cache: if another Tahoe client makes the change, if
    the cache is away both times, or if it drops a mark too early.
    """

    def __init__(self, alias: str | None, base_cap: Cap) -> None:
        self._alias = alias
        self._files = _Shelf(base_cap.reader, "file")
        self._directories = _Shelf(base_cap, "directory")
        self._is_failing = False

    @property
    def is_there(self) -> bool:
        return self._alias is not None

    def files(self, paths: Collection[Path]) -> dict[Path, Node]:
        found = self._get(self._files, paths)
        _told.update({id(node): node for node in found.values()})
        return found

    def add_file(self, path: Path, node: Node, asked: float, *, once: bool = False) -> bool:
        """
        Add the target of a path, if it is a file. Return whether it was added.

        `asked`: `monotonic()` when the target became known, or before. `once`: only if the cache
        never had this answer.
        """
        if once and _told.get(id(node)) is node:
            return False

        def add(cache: BaseCache) -> bool:
            _told[id(node)] = node
            entry = self._files.seal(path, evolve(node, cap=node.cap.reader))
            is_prompt = monotonic() - asked < _PROMPT_SECONDS
            return is_prompt and cache.add(self._files.key(path), entry)

        return node.cap.is_file and node.cap.is_readable and self._use(add, False)

    def add_new_file(self, path: Path, cap: Cap, asked: float) -> None:
        """As `add_file`, of a file that was saved under a free name."""
        if not self.add_file(path, Link(cap).node, asked):
            self.mark([path])  # an entry of a free name is wrong

    def directories(self, paths: Collection[Path]) -> dict[Path, Cap]:
        return {path: node.cap for path, node in self._get(self._directories, paths).items()}

    def put_directory(self, path: Path, cap: Cap) -> None:
        """Keep the cap of a directory, in place of another one."""
        shelf = self._directories
        self._use(lambda cache: cache.set(shelf.key(path), shelf.seal(path, Link(cap).node)), None)

    def mark(self, paths: Collection[Path]) -> None:
        """Keep nothing of those paths for a time. Call it before and after a change."""

        def mark(cache: BaseCache) -> None:
            cache.set_many({self._files.key(path): _MARK for path in paths}, _MARK_SECONDS)

        if paths:
            self._use(mark, None)

    def _get(self, shelf: _Shelf, paths: Collection[Path]) -> dict[Path, Node]:
        def get(cache: BaseCache) -> dict[Path, Node]:
            keys = {shelf.key(path): path for path in paths}
            entries = cache.get_many(list(keys))
            found = {
                path: shelf.open(path, entries.get(key), cache.default_timeout)
                for key, path in keys.items()
            }
            return {path: node for path, node in found.items() if node is not None}

        return self._use(get, {}) if paths else {}

    def _use(self, call: Callable[[BaseCache], T], otherwise: T) -> T:
        """The result of a call, or `otherwise` if there is no cache, or it fails."""
        if self._alias is None:
            return otherwise
        try:
            result = call(caches[self._alias])
        except Exception as error:  # backends raise errors of many kinds
            if not self._is_failing:
                what = f"{type(error).__name__}: {error}"
                logger.warning("the cache %r fails, and is not used: %s", self._alias, what)
            self._is_failing = True
            return otherwise
        self._is_failing = False
        return result


class _Shelf:
    """
    The entries of one kind. Only a process that has `cap` can find, read and make them: each is
    encrypted and authenticated with a key of its own.
    """

    def __init__(self, cap: Cap, kind: str) -> None:
        self._secret = _derived(str(cap).encode(), kind)

    def key(self, path: Path) -> str:
        return f"tahoestorage:{_derived(self._secret, 'key', path).hex()}"

    @sealed
    def seal(self, path: Path, node: Node) -> bytes:
        # In the form of the gateway's answers.
        told = {"ro_uri": str(node.cap), "size": node.size, "metadata": dict(node.metadata)}
        return self._fernet(path).encrypt(json.dumps([node.type, told]).encode())

    @sealed
    def open(self, path: Path, entry: object, seconds: float | None) -> Node | None:
        """The node in an entry of the path, if it is not older than so many seconds."""
        if not isinstance(entry, bytes):
            return None
        try:
            text = self._fernet(path).decrypt(entry, None if seconds is None else int(seconds))
            return parse_node(parse_json(text, "reading the cache"))
        except (InvalidToken, NotAGateway):
            return None

    def _fernet(self, path: Path) -> Fernet:
        return Fernet(urlsafe_b64encode(_derived(self._secret, "value", path)))


@sealed
def _derived(secret: bytes, *what: object) -> bytes:
    return hmac.digest(secret, json.dumps(what).encode(), "sha256")
