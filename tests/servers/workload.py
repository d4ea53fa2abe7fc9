"""Eight clients that upload, read, list and delete, and verify every answer."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import inf
from secrets import token_hex
from typing import TypeVar

from attrs import define, field, frozen

from tests.servers.sites import PATIENCE, LostError, RefusedError, Site

T = TypeVar("T")

CLIENTS = 8
SIZES = (200, 3_000, 40_000, 1_500_000, 10_000)


def content_of(name: str) -> bytes:
    """The content for a name."""
    chance = random.Random(name)
    return chance.randbytes(SIZES[chance.randrange(len(SIZES))])


def asked_name(name: str) -> str:
    """The name that the client gave, without the process that the site adds."""
    return name.partition("--process-")[0]


class EnoughError(Exception):
    """All requests were made."""


@define
class Interruption:
    """Seconds of time.monotonic() between which requests may be lost."""

    began: float
    ended: float = inf


@frozen
class Loss:
    """A request that got no answer."""

    what: str
    sent: float
    noticed: float

    def is_explained_by(self, interruption: Interruption) -> bool:
        return interruption.began <= self.noticed and self.sent <= interruption.ended


@define
class Workload:
    """
    `requests` requests to a site, by clients in threads of their own.

    `there`: names that the site has reported to be on the grid. `doubtful`: names of requests
    without an answer. `processes`: the processes that have answered, the last one last.
    """

    site: Site
    requests: int
    there: set[str] = field(factory=set)
    doubtful: set[str] = field(factory=set)
    processes: list[int] = field(factory=list)
    losses: list[Loss] = field(factory=list)
    mistakes: list[str] = field(factory=list)
    interruptions: list[Interruption] = field(factory=list)
    word: str = field(factory=partial(token_hex, 4))
    _under_way: dict[int, float] = field(factory=dict)
    _begun: int = 0
    _lock: threading.Lock = field(factory=threading.Lock)
    _threads: list[threading.Thread] = field(factory=list)

    def start(self) -> None:
        for number in range(CLIENTS):
            client = _Client(self, f"{self.word}-client{number}")
            self._threads.append(threading.Thread(target=client.run, daemon=True))
        for thread in self._threads:
            thread.start()

    def wait_until(self, share: float) -> None:
        """Wait until so many of the requests were answered. Raises: AssertionError."""
        self._wait(lambda: len(self.processes) >= share * self.requests)

    def finish(self) -> None:
        """Wait for the last request. Raises: AssertionError."""
        self._wait(lambda: not any(thread.is_alive() for thread in self._threads))

    @contextmanager
    def interrupted(self) -> Iterator[None]:
        """Requests that are under way in this block may be lost. It waits for them to end."""
        interruption = Interruption(time.monotonic())
        self.interruptions.append(interruption)
        yield
        interruption.ended = time.monotonic()
        self._wait(
            lambda: not any(sent <= interruption.ended for sent in [*self._under_way.values()])
        )

    @property
    def unexplained(self) -> list[Loss]:
        """The losses outside of every interruption."""
        return [
            loss for loss in self.losses if not any(map(loss.is_explained_by, self.interruptions))
        ]

    def ask(self, what: str, operation: Callable[[], tuple[int, T]]) -> T:
        """The answer to one of the requests. Raises: LostError; EnoughError after the last."""
        with self._lock:
            if self._begun >= self.requests or self.mistakes:
                raise EnoughError
            self._begun += 1
        while True:
            sent = time.monotonic()
            self._under_way[threading.get_ident()] = sent
            try:
                process, answer = operation()
            except LostError as error:
                self.losses.append(Loss(f"{what}: {error!r}", sent, time.monotonic()))
                time.sleep(0.05)
                if not isinstance(error, RefusedError) or self.unexplained:
                    self._begun -= 1  # there are as many answers as were asked for
                    raise
            else:
                self.processes.append(process)
                return answer
            finally:
                del self._under_way[threading.get_ident()]

    def _wait(self, is_so: Callable[[], bool]) -> None:
        patience = time.monotonic() + 2 * PATIENCE
        while not is_so():
            assert not self.mistakes, self.mistakes
            assert not self.unexplained, self.unexplained
            assert time.monotonic() < patience, "the clients wait for ever"
            time.sleep(0.02)


class _Client:
    """Upload, read back, list, and every other time delete."""

    def __init__(self, workload: Workload, name: str) -> None:
        self._workload = workload
        self._site = workload.site
        self._name = name
        self._there: dict[str, int] = {}
        self._deleted: set[str] = set()

    def run(self) -> None:
        turn = 0
        try:
            while True:
                try:
                    self._take_turn(turn)
                except LostError:
                    pass
                turn += 1
        except EnoughError:
            pass
        except Exception as error:
            self._workload.mistakes.append(f"{self._name}, turn {turn}: {error!r}")

    def _take_turn(self, turn: int) -> None:
        name = f"{self._name}-{turn}"
        self._upload(name)
        content = self._ask("read", lambda: self._site.read(self._there[name]))
        assert content == content_of(name), f"{name} has {len(content)} other bytes"
        names = {asked_name(each) for each in self._ask("list", self._site.names)}
        assert names >= set(self._there), f"not listed: {set(self._there) - names}"
        assert not names & self._deleted, f"deleted and listed: {names & self._deleted}"
        if turn % 2:
            self._delete(next(iter(self._there)))

    def _upload(self, name: str) -> None:
        content = content_of(name)
        with self._doubting(name):
            self._there[name] = self._ask("upload", lambda: self._site.upload(name, content))
        self._workload.there.add(name)

    def _delete(self, name: str) -> None:
        number = self._there.pop(name)
        self._workload.there.discard(name)
        with self._doubting(name):
            self._ask("delete", lambda: self._site.delete(number))
        self._deleted.add(name)

    @contextmanager
    def _doubting(self, name: str) -> Iterator[None]:
        """A name is doubtful until the block has ended without an error."""
        self._workload.doubtful.add(name)
        yield
        self._workload.doubtful.discard(name)

    def _ask(self, what: str, operation: Callable[[], tuple[int, T]]) -> T:
        return self._workload.ask(f"{self._name}: {what}", operation)
