"""Clients of the site, which save, overwrite, read, rename, delete and list all the time."""

from __future__ import annotations

import json
import threading
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPResponse
from math import inf
from random import Random
from time import monotonic
from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import urlencode

from attrs import define, field, frozen

from tests.faults.model import ABSENT, Value
from tests.seeds import random_for
from tests.servers.sites import (
    HttpSite,
    LostError,
    QueuedSite,
    RefusedError,
    WrongAnswerError,
    form,
)
from tests.soak.truth import Truth, digest

CLIENTS = 8
DIRECTORIES = ("files", "photos/2026")
# Bytes. The gateway takes more than 1 MiB through a temporary file.
SIZES = (40, 2_000, 2_000, 10_000, 10_000, 10_000, 60_000, 60_000, 300_000, 1_600_000)
# More names than that a client deletes before it saves again.
MOST_NAMES = 40
# By the methods of `Client`.
WEIGHTS = {
    "save": 6,
    "overwrite": 4,
    "read": 7,
    "rename": 2,
    "delete": 3,
    "names": 2,
    "keep": 2,
    "recall": 2,
}


class Turns:
    """Counts operations, and lets other threads wait for more of them."""

    def __init__(self) -> None:
        self._done: float = 0
        self._changed = threading.Condition()

    def count(self) -> None:
        with self._changed:
            self._done += 1
            self._changed.notify_all()

    def end(self) -> None:
        """Let all threads go on; from now on none waits."""
        with self._changed:
            self._done = inf
            self._changed.notify_all()

    def more(self, number: int) -> float:
        """Wait for so many more; return the number so far, or 0 if no more will come."""
        with self._changed:
            enough = self._done + number
            self._changed.wait_for(lambda: self._done >= enough)
            return self._done if self._done < inf else 0


class Refused(Exception):
    """The site says that it failed: `told` is the answer of `served.work.told`."""

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__(told["text"])
        self.told = told


class Door(Protocol):
    """One of the site's servers. Raises: Refused, and the errors of `tests.servers.sites`."""

    def ask(self, operation: str, *names: str, content: bytes | None = None) -> Any: ...


@frozen
class WebDoor:
    """A web server. `way`: "do" for threads, "ado" for asyncio."""

    port: int
    way: str

    def ask(self, operation: str, *names: str, content: bytes | None = None) -> Any:
        path = f"{self.way}/{operation}/?{urlencode([('name', name) for name in names])}"
        body = b"" if content is None else form(names[0], content)
        answer, given = HttpSite(self.port).send("POST", path, body)
        if answer.status == 503:
            raise Refused(json.loads(given))
        if answer.status != 200:
            raise WrongAnswerError(f"{path}: {answer.status} {given[-2000:]!r}")
        return json.loads(given) if _is_json(answer) else given


def _is_json(answer: HTTPResponse) -> bool:
    return answer.headers["Content-Type"] == "application/json"


@frozen
class QueueDoor:
    """Celery."""

    queue: QueuedSite

    def ask(self, operation: str, *names: str, content: bytes | None = None) -> Any:
        sent = None if content is None else b64encode(content).decode()
        answer = self.queue.ask("do", operation, names, sent)
        if "error" in answer:
            raise Refused(answer)
        return b64decode(answer["content"]) if "content" in answer else answer["value"]


@define
class Load:
    """
    Clients until `end`, each at the doors of one host.

    `tally`: operations by kind and outcome.
    """

    doors: Sequence[Sequence[Door]]
    truth: Truth
    turns: Turns = field(factory=Turns)
    tally: Counter[tuple[str, str]] = field(factory=Counter)
    _threads: list[threading.Thread] = field(factory=list)
    _is_ending: threading.Event = field(factory=threading.Event)

    def start(self) -> None:
        for number in range(CLIENTS):
            client = Client(self.doors[number % len(self.doors)], self.truth, number)
            thread = threading.Thread(target=self._run, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def end(self) -> None:
        """Let each client finish its operation, and then all threads that wait for operations."""
        self._is_ending.set()
        for thread in self._threads:
            thread.join()
        self.turns.end()

    def _run(self, client: Client) -> None:
        while not self._is_ending.is_set():
            try:
                operation, outcome = client.do_one()
            except Exception as error:
                self.truth.wrong.append(f"client {client.number} ended: {error!r}")
                return
            self.tally[operation, outcome] += 1
            self.turns.count()
            if outcome == "no connection":
                self._is_ending.wait(0.2)


class Client:
    """Does one operation after the other with names of its own, each at another door."""

    def __init__(self, doors: Sequence[Door], truth: Truth, number: int) -> None:
        self.number = number
        self._doors = doors
        self._truth = truth
        self._random: Random = random_for("client", number)
        self._names: list[str] = []
        self._gone: list[str] = []
        self._kept: list[str] = []
        self._made = 0

    def do_one(self) -> tuple[str, str]:
        """Kind and outcome of one operation."""
        [kind] = self._random.choices([*WEIGHTS], [*WEIGHTS.values()])
        if kind == "recall":
            kind = kind if self._kept else "keep"
        elif not self._names:
            kind = "save"
        elif kind == "save" and len(self._names) > MOST_NAMES:
            kind = "delete"
        return kind, getattr(self, kind)()

    def save(self) -> str:
        name, content = self._new_name(), self._new_content()
        value = digest(content)

        def saved(given: str) -> None:
            # With a spool every name gets a suffix.
            self._truth.acknowledge({given: value})
            self._names.append(given)

        return self._ask("save", [name], saved, content=content, changes={name: value})

    def overwrite(self) -> str:
        name, content = self._random.choice(self._names), self._new_content()
        changes = {name: digest(content)}

        def overwritten(_: Any) -> None:
            self._truth.acknowledge(changes)

        return self._ask("overwrite", [name], overwritten, content=content, changes=changes)

    def rename(self) -> str:
        old, new = self._random.choice(self._names), self._new_name()
        [value] = self._truth.allowed(old, inf)
        changes = {old: ABSENT, new: value}

        def renamed(_: Any) -> None:
            self._truth.acknowledge(changes)
            self._names.append(new)
            self._drop(old)

        # These are two changes, and an error may be that of the second one.
        return self._ask("rename", [old, new], renamed, changes=changes, is_sure=False)

    def delete(self) -> str:
        name = self._random.choice(self._names)
        changes = {name: ABSENT}

        def deleted(_: Any) -> None:
            self._truth.acknowledge(changes)
            self._drop(name)

        return self._ask("delete", [name], deleted, changes=changes)

    def read(self) -> str:
        is_gone = self._gone and self._random.random() < 0.1
        name = self._random.choice(self._gone if is_gone else self._names)
        asked = monotonic()

        def compare(content: bytes | None) -> None:
            found = ABSENT if content is None else digest(content)
            self._truth.compare(name, found, asked, "a read")

        return self._ask("read", [name], compare, missing=lambda: compare(None))

    def names(self) -> str:
        directory = self._random.choice(DIRECTORIES)
        paths = {name: name.rpartition("/") for name in (*self._names, *self._gone)}
        asked = monotonic()

        def compare(listed: tuple[list[str], list[str]]) -> None:
            there = {*listed[1]}
            for name, (parent, _, last) in paths.items():
                if parent != directory:
                    continue
                allowed = self._truth.allowed(name, asked)
                if last in there and allowed == {ABSENT}:
                    self._wrong(f"a listing has {name!r}")
                if last not in there and ABSENT not in allowed:
                    self._wrong(f"a listing has no {name!r}")

        return self._ask("names", [directory], compare, missing=lambda: compare(([], [])))

    def keep(self) -> str:
        name, content = f"{self.number}-{self._made}.bin", self._new_content()

        def kept(given: str) -> None:
            self._truth.kept[given] = digest(content)
            self._kept.append(given)

        return self._ask("keep", [name], kept, content=content)

    def recall(self) -> str:
        name = self._random.choice(self._kept)

        def compare(content: bytes) -> None:
            if digest(content) != self._truth.kept[name]:
                self._wrong(f"a read: {name!r} has other bytes")

        return self._ask("recall", [name], compare)

    def _ask(
        self,
        operation: str,
        names: list[str],
        then: Callable[[Any], None],
        *,
        content: bytes | None = None,
        changes: Mapping[str, Value] = MappingProxyType({}),
        is_sure: bool = True,
        missing: Callable[[], None] | None = None,
    ) -> str:
        """
        Ask a door; return the outcome in words.

        `then`: gets the answer. `changes`: they may be made if the outcome is unknown; after an
        error that says more, they are not, if it `is_sure`. `missing`: called if the site says that
        there is no such file.
        """
        told = f"{operation} {' '.join(names)}"
        is_unknown = True
        try:
            answer = self._random.choice(self._doors).ask(operation, *names, content=content)
        except RefusedError:
            return "no connection"
        except LostError:
            outcome = "no answer"
        except WrongAnswerError as error:
            outcome = "failed"
            self._wrong(f"{told}: {error}")
        except Refused as error:
            outcome = str(error.told["error"])
            is_unknown = error.told["is_unknown"] or not is_sure
            if outcome == "NoSuchChild" and missing is not None:
                missing()
                return "missing"
            if not error.told["is_ours"] or (outcome == "NoSuchChild" and is_sure):
                self._wrong(f"{told}: {outcome}: {error}")
        else:
            then(answer)
            return "ok"
        if is_unknown:
            self._truth.doubt(changes)
            for name in changes:
                self._forget(name)
        return outcome

    def _wrong(self, what: str) -> None:
        self._truth.wrong.append(what)

    def _new_name(self) -> str:
        self._made += 1
        return f"{self._random.choice(DIRECTORIES)}/{self.number}-{self._made}.bin"

    def _new_content(self) -> bytes:
        self._made += 1
        mark = f"{self.number}-{self._made}.".encode()
        return mark + self._random.randbytes(self._random.choice(SIZES))

    def _forget(self, name: str) -> None:
        """Leave a name alone from now on."""
        for names in (self._names, self._gone):
            if name in names:
                names.remove(name)

    def _drop(self, name: str) -> None:
        self._names.remove(name)
        self._gone = [*self._gone[-MOST_NAMES:], name]
