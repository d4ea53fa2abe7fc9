"""The gateway's web API by `http.client`: what the storage is compared with."""

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
    """The gateway answered with an error, which is not handled here."""


class Bare:
    """
    The fewest requests on kept connections, one a thread, and no care for any fault.

    Caps are strings here. Every method raises RefusedRequest, and what `http.client` raises.
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
        """The write cap of a new directory."""
        if not children:
            return self._ask("POST", "/uri?t=mkdir").decode()
        return self._ask("POST", "/uri?t=mkdir-with-children", _links(children)).decode()

    def make_immutable_directory(self, children: Mapping[str, str]) -> str:
        """The read cap of a new directory that never changes."""
        return self._ask("POST", "/uri?t=mkdir-immutable", _links(children)).decode()

    def listing(self, directory: str) -> dict[str, Any]:
        """All that the gateway tells of the children of a directory, by name."""
        _, told = json.loads(self._ask("GET", f"{_path(directory)}?t=json"))
        children: dict[str, Any] = told["children"]
        return children

    def copy(self, listing: Mapping[str, Any]) -> str:
        """The read cap of an immutable directory with the children of a listing."""
        children = {
            name: [type_, {"ro_uri": told["ro_uri"], "metadata": told["metadata"]}]
            for name, (type_, told) in listing.items()
        }
        return self._ask("POST", "/uri?t=mkdir-immutable", json.dumps(children).encode()).decode()

    def link(self, directory: str, children: Mapping[str, str]) -> None:
        """Give caps names in a directory, where none of these is taken."""
        query = "?t=set_children&replace=false"
        self._ask("POST", _path(directory) + query, _links(children))

    def children(self, directory: str) -> dict[str, str]:
        """The caps of the children of a directory, by name."""
        return {name: _cap(child) for name, child in self.listing(directory).items()}

    def look_up(self, directory: str, *names: str) -> str:
        """The cap of what lies below a directory, by one request however deep it lies."""
        return self._ask("GET", f"{_path(directory, *names)}?t=uri").decode().strip()

    def together(
        self, function: Callable[[Item], T], items: Iterable[Item], at_once: int
    ) -> list[T]:
        """The results of a function for each item, `at_once` of them at the same time."""
        if at_once not in self._threads:
            self._threads[at_once] = ThreadPoolExecutor(at_once)
        return list(self._threads[at_once].map(function, items))

    def close(self) -> None:
        """End the threads, and with each its connection."""
        for threads in self._threads.values():
            threads.shutdown()

    def _ask(self, method: str, path: str, body: bytes | BinaryIO | None = None) -> bytes:
        connection = self._connection()
        connection.request(method, path, body)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status not in (200, 201):
            # Neither the path nor the answer is shown: they may hold caps.
            raise RefusedRequest(f"{method}: {answer.status} {answer.reason}")
        return content

    def _connection(self) -> HTTPConnection:
        local = self._local
        now = time.monotonic()
        if not hasattr(local, "connection"):
            local.connection = HTTPConnection(*self._address)
        elif now - local.used > _IDLE_SECONDS:
            local.connection.close()  # it opens again by itself
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
