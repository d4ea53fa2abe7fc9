"""What names lead to, for the processes that share a Django cache."""

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

# Seconds after which an answer is not added any more. A mark lasts longer by what an answer may
# take to come, or a process be held up; and by what the gateway may take for a change of which
# nobody knows whether it was made, half a minute (txtahoe/docs/gateway.md 2.8). Neither depends on
# an option: those of the other processes may differ.
_PROMPT_SECONDS = 60
_MARK_SECONDS = 3 * _PROMPT_SECONDS
# It is no entry of any name, so it reads as none.
_MARK = b""
# Answers that a cache was told of, or that come from one: if it were told these again, what is old
# there would be new. One for all storages, which may share a tree and what it keeps.
_told: WeakValueDictionary[int, Node] = WeakValueDictionary()


class SharedCache:
    """
    File and directory caps in the Django cache `alias`; where that is None, nothing is kept.

    Who reads the cache learns neither names nor caps, and who writes to it cannot make an entry,
    nor move one to another name. Files are kept under keys made of the read cap, so that storages
    that only read see the changes too; directories under keys made of `base_cap` itself. That a
    name leads nowhere is not kept. A cache that fails is an empty one.

    Files. A question that is answered before a change may be added after it. So what is there is
    never replaced by an answer, and who changes a name leaves a mark there, see `mark`:
    before the change, so that no old entry is left behind by a process that dies in it; and after
    it, so that the mark stands while answers from before it can still come. A save that replaces
    nothing needs no mark: there is no entry of a name that is free.

    Directories. A directory keeps its cap for ever, also while it is removed (see
    `Tree.remove_directory`). An entry tells the cap, never that the directory is there.

    An old entry can stay for the TIMEOUT of the cache, no longer: when another Tahoe client makes
    the change, when the cache is away both times, or when it drops a mark before its time.
    """

    def __init__(self, alias: str | None, base_cap: Cap) -> None:
        self._alias = alias
        self._files = _Shelf(base_cap.reader, "file")
        self._directories = _Shelf(base_cap, "directory")
        self._is_failing = False

    @property
    def is_there(self) -> bool:
        """Whether there is a cache."""
        return self._alias is not None

    def files(self, paths: Collection[Path]) -> dict[Path, Node]:
        """What those paths lead to that are known to lead to a file."""
        found = self._get(self._files, paths)
        _told.update({id(node): node for node in found.values()})
        return found

    def offer_file(self, path: Path, node: Node, asked: float) -> None:
        """As `add_file`, of an answer that this process keeps; each is added once."""
        if self._alias is not None and _told.get(id(node)) is not node:
            self.add_file(path, node, asked)

    def add_file(self, path: Path, node: Node, asked: float) -> bool:
        """
        Add what a path led to, if it was a file, and say whether it stands there now.

        `asked`: `monotonic()` when that became known, or before.
        """

        def add(cache: BaseCache) -> bool:
            _told[id(node)] = node
            entry = self._files.seal(path, evolve(node, cap=node.cap.reader))
            is_prompt = monotonic() - asked < _PROMPT_SECONDS
            return is_prompt and cache.add(self._files.key(path), entry)

        return node.cap.is_file and node.cap.is_readable and self._use(add, False)

    def add_new_file(self, path: Path, cap: Cap, asked: float) -> None:
        """As `add_file`, of a file that was saved under a name which was free."""
        if not self.add_file(path, Link(cap).node, asked):
            self.mark([path])  # what stands there, though the name was free, is wrong

    def directories(self, paths: Collection[Path]) -> dict[Path, Cap]:
        """The caps of those directories that are known."""
        return {path: node.cap for path, node in self._get(self._directories, paths).items()}

    def put_directory(self, path: Path, cap: Cap) -> None:
        """Keep the cap of a directory, in place of any other."""
        shelf = self._directories
        self._use(lambda cache: cache.set(shelf.key(path), shelf.seal(path, Link(cap).node)), None)

    def mark(self, paths: Collection[Path]) -> None:
        """Keep nothing of those paths for a time; said before a change of theirs, and after it."""

        def mark(cache: BaseCache) -> None:
            cache.set_many({self._files.key(path): _MARK for path in paths}, _MARK_SECONDS)

        if paths:
            self._use(mark, None)

    def _get(self, shelf: _Shelf, paths: Collection[Path]) -> dict[Path, Node]:
        def get(cache: BaseCache) -> dict[Path, Node]:
            keys = {path: shelf.key(path) for path in paths}
            values = cache.get_many(list(keys.values()))
            found = {
                path: shelf.open(path, values.get(keys[path]), cache.default_timeout)
                for path in paths
            }
            return {path: node for path, node in found.items() if node is not None}

        return self._use(get, {}) if paths else {}

    def _use(self, call: Callable[[BaseCache], T], otherwise: T) -> T:
        """The result of a call, or `otherwise` where there is no cache, or none that works."""
        if self._alias is None:
            return otherwise
        try:
            result = call(caches[self._alias])
        except Exception as error:  # whatever backends raise
            if not self._is_failing:
                what = f"{type(error).__name__}: {error}"
                logger.warning("the cache %r fails, and is not used: %s", self._alias, what)
            self._is_failing = True
            return otherwise
        self._is_failing = False
        return result


class _Shelf:
    """
    The entries of one kind, which only who has `cap` can find, read and make.

    Each is encrypted and authenticated with a key of its own.
    """

    def __init__(self, cap: Cap, kind: str) -> None:
        self._secret = _derived(str(cap).encode(), kind)

    def key(self, path: Path) -> str:
        """Where the entry of a path stands."""
        return f"tahoestorage:{_derived(self._secret, 'key', path).hex()}"

    @sealed
    def seal(self, path: Path, node: Node) -> bytes:
        """The entry of a path."""
        # As the gateway tells it.
        told = {"ro_uri": str(node.cap), "size": node.size, "metadata": dict(node.metadata)}
        return self._fernet(path).encrypt(json.dumps([node.type, told]).encode())

    @sealed
    def open(self, path: Path, entry: object, seconds: float | None) -> Node | None:
        """What an entry tells, if it is that of the path, and not older than so many seconds."""
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
    """32 bytes of which nobody learns anything who does not know the secret."""
    return hmac.digest(secret, json.dumps(what).encode(), "sha256")
