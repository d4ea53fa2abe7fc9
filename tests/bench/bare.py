"""The gateway's web API by `http.client`, as a comparison for the storage."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote, urlsplit

Item = TypeVar("Item")
T = TypeVar("T")

# The gateway closes connections that were idle for 60 s.
_IDLE_SECONDS = 30


class RefusedRequest(Exception):
    """The gateway answered with an error. No code here handles it."""


class Bare:
    """
    The fewest requests, on one kept connection a thread, without care for faults.

    Caps are strings here. Every method raises RefusedRequest, and the errors of `http.client`.
    """

    def __init__(self, gateway: str) -> None:
        parts = urlsplit(gateway)
        self._address = parts.hostname or "", parts.port
        self._local = threading.local()
        self._threads: dict[int, ThreadPoolExecutor] = {}

    def upload(self, content: bytes | BinaryIO) -> str:
        """The cap of a new file."""
        return self._ask("PUT", "/uri", content).decode()

    def read(self, cap: str, *names: str) -> bytes:
        """The bytes of a file, or of one below a directory."""
        return self._ask("GET", _path(cap, *names))

    def make_directory(self, children: Mapping[str, str] | None = None) -> str:
        """Make a directory; return its write-cap."""
        if not children:
            return self._ask("POST", "/uri?t=mkdir").decode()
        return self._ask("POST", "/uri?t=mkdir-with-children", _links(children)).decode()

    def make_immutable_directory(self, children: Mapping[str, str]) -> str:
        """Make an immutable directory; return its read-cap."""
        return self._ask("POST", "/uri?t=mkdir-immutable", _links(children)).decode()

    def listing(self, directory: str) -> dict[str, Any]:
        """The gateway's listing of a directory, by name."""
        _, told = json.loads(self._ask("GET", f"{_path(directory)}?t=json"))
        children: dict[str, Any] = told["children"]
        return children

    def copy(self, listing: Mapping[str, Any]) -> str:
        """Make an immutable directory with the children of a listing; return its read-cap."""
        children = {
            name: [type_, {"ro_uri": told["ro_uri"], "metadata": told["metadata"]}]
            for name, (type_, told) in listing.items()
        }
        return self._ask("POST", "/uri?t=mkdir-immutable", json.dumps(children).encode()).decode()

    def link(self, directory: str, children: Mapping[str, str]) -> None:
        """Link caps in a directory, under names that are free."""
        query = "?t=set_children&replace=false"
        self._ask("POST", _path(directory) + query, _links(children))

    def children(self, directory: str) -> dict[str, str]:
        """The caps of the children of a directory, by name."""
        return {name: _cap(child) for name, child in self.listing(directory).items()}

    def look_up(self, directory: str, *names: str) -> str:
        """The cap at a path below a directory, by one request for a path of any depth."""
        return self._ask("GET", f"{_path(directory, *names)}?t=uri").decode().strip()

    def together(
        self, function: Callable[[Item], T], items: Iterable[Item], at_once: int
    ) -> list[T]:
        """Call a function for each item, `at_once` of them at the same time; return the results."""
        if at_once not in self._threads:
            self._threads[at_once] = ThreadPoolExecutor(at_once)
        return list(self._threads[at_once].map(function, items))

    def close(self) -> None:
        """End the threads and their connections."""
        for threads in self._threads.values():
            threads.shutdown()

    def _ask(self, method: str, path: str, body: bytes | BinaryIO | None = None) -> bytes:
        connection = self._connection()
        connection.request(method, path, body)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status not in (200, 201):
            # The message has neither the path nor the answer, because they can hold caps.
            raise RefusedRequest(f"{method}: {answer.status} {answer.reason}")
        return content

    def _connection(self) -> HTTPConnection:
        local = self._local
        now = time.monotonic()
        if not hasattr(local, "connection"):
            local.connection = HTTPConnection(*self._address)
        elif now - local.used > _IDLE_SECONDS:
            local.connection.close()  # the next request opens it again
        local.used = now
        connection: HTTPConnection = local.connection
        return connection


def _path(cap: str, *names: str) -> str:
    return "/".join(["/uri", *(quote(name, safe="") for name in (cap, *names))])


def _links(children: Mapping[str, str]) -> bytes:
    return json.dumps({name: _link(cap) for name, cap in children.items()}).encode()


def _link(cap: str) -> list[Any]:
    is_writable = cap.startswith("URI:DIR2:")
    type_ = "dirnode" if cap.startswith("URI:DIR2") else "filenode"
    return [type_, {"rw_uri" if is_writable else "ro_uri": cap}]


def _cap(child: list[Any]) -> str:
    told: dict[str, str] = child[1]
    return told.get("rw_uri") or told["ro_uri"]
