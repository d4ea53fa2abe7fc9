"""The operations of the site, by their names: for threads, and for tasks of asyncio."""

from __future__ import annotations

from collections.abc import Callable
from time import sleep
from typing import Any

from asgiref.sync import sync_to_async
from django.core.files.storage import storages
from served.models import Kept

from tahoestorage.care.wholetree import WholeTree
from tahoestorage.storage import storage_of
from txtahoe.errors import RequestTimeout, TahoeError, UnknownOutcome

_PACE, _LOOKS = 0.1, 100  # seconds between two looks at the spool, and how many
# Storage and method. The method with an "a" before its name is its twin for asyncio.
_CALLS = {
    "save": ("default", "save"),
    "overwrite": ("replacing", "save"),
    "read": ("default", "open"),
    "delete": ("default", "delete"),
    "names": ("default", "listdir"),
    "recall": ("caps", "open"),
}


def _keep(name: str, content: Any) -> str:
    row = Kept()
    row.file.save(name, content)
    return str(row.file.name)


def _rename(old: str, new: str) -> None:
    storage = storage_of()
    spool, path = storage.connection.spool, tuple(old.split("/"))
    assert spool is not None
    # `Tree.rename` needs a file that is on the grid.
    for _ in range(_LOOKS):
        entry = spool.find(path)
        if entry is None or not entry.is_pending:
            break
        sleep(_PACE)
    else:  # the uploader would link it again, under its old name
        raise RequestTimeout(f"{old!r} is not on the grid yet")
    WholeTree.of(storage).run(lambda tree, progress: tree.rename(old, new))


_OTHERS: dict[str, Callable[..., Any]] = {"keep": _keep, "rename": _rename}


def do(operation: str, *arguments: Any) -> Any:
    """The result; of `read` and `recall` an opened file. Raises: OSError."""
    if operation in _OTHERS:
        return _OTHERS[operation](*arguments)
    storage, method = _CALLS[operation]
    return getattr(storages[storage], method)(*arguments)


async def ado(operation: str, *arguments: Any) -> Any:
    """As `do`, with the asynchronous methods."""
    if operation in _OTHERS:
        return await sync_to_async(_OTHERS[operation])(*arguments)
    storage, method = _CALLS[operation]
    return await getattr(storages[storage], f"a{method}")(*arguments)


def told(error: OSError) -> dict[str, Any]:
    """Describe an error to the client. A process that ends cannot tell if it made a change."""
    return {
        "error": type(error).__name__,
        "text": str(error),
        "is_ours": isinstance(error, TahoeError) or "the spool" in str(error),
        "is_unknown": isinstance(error, UnknownOutcome | ConnectionAbortedError),
    }
