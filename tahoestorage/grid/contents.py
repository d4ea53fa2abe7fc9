"""Django files as sources of uploads, which the caller reads while the reactor sends them."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from inspect import getattr_static
from itertools import chain
from typing import Any

from django.core.files import File

from tahoestorage.reactor.waiting import Caller, unblocked
from txtahoe.api.files import Uploadable
from txtahoe.http.sources import BlockingSource, gather
from txtahoe.tree.uploads import SMALL, Opener


def opener(file: File[Any], caller: Caller) -> Opener:
    """Opens a Django file where the caller waits, when its turn has come."""

    async def opened() -> Uploadable:
        return (await caller.run(partial(_opened, file), blocks=_blocks(file)))(caller)

    return opened


async def begun(content: File[Any]) -> Callable[[Caller], Uploadable]:
    """As `_opened`, of a single file before its turn comes: to read it can mean to save others."""
    opening = partial(_opened, content)
    return await unblocked(opening) if _blocks(content) else opening()


def _opened(content: File[Any]) -> Callable[[Caller], Uploadable]:
    """The source of a Django file, for the caller that reads it."""
    chunks = iter(content.chunks())
    # A small file is read before the request begins: it has a length then, can be sent again, and
    # the caller has nothing more to do.
    head = gather(chunks, SMALL)
    if len(head) < SMALL:
        return lambda caller: head
    # The first pass goes on from here; `chunks` itself goes back to the start.
    passes = chain([chain([head], chunks)], iter(content.chunks, None))
    repeatable = hasattr(content, "seekable") and content.seekable()
    blocks = _blocks(content)
    return lambda caller: BlockingSource(
        lambda: next(passes), partial(caller.run, blocks=blocks), repeatable
    )


def _blocks(content: File[Any]) -> bool:
    """Whether a Django file can have to wait for its bytes, because it is not just in memory."""
    # A FieldFile has no such attribute of its own: to ask for it is to open the file.
    return not isinstance(getattr_static(content, "file", None), io.BytesIO | io.StringIO)
