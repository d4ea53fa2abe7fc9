"""The folder of a grid: its plan, and the lock that gives it to one process at a time."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from weakref import WeakSet

from attrs import Factory, asdict, frozen

from txtahoe.testing.node import GridError

_PLAN, _NEW_PLAN, _LOCK = "grid.json", "grid.json.new", "grid.lock"
_LOCK_SECONDS = 10
_LIMITS = (("needed", "servers"), ("happy", "servers"), ("needed", "total"), ("happy", "total"))


@frozen(kw_only=True)
class Plan:
    """
    The numbers of nodes of a grid, and of the shares into which its gateways encode a file.

    `needed` of `total` shares give the file back; an upload fails when it reaches fewer than
    `happy` servers (Tahoe's docs/specifications/servers-of-happiness.rst).

    Raises: ValueError for numbers with which no upload could succeed.
    """

    servers: int = 3
    gateways: int = 1
    total: int = Factory(lambda self: self.servers, takes_self=True)
    needed: int = Factory(lambda self: min(self.total, (self.servers + 1) // 2), takes_self=True)
    happy: int = Factory(lambda self: self.needed, takes_self=True)

    def __attrs_post_init__(self) -> None:
        numbers = asdict(self)
        for name, number in numbers.items():
            if number < 1:
                raise ValueError(f"{name} is {number}: give 1 or more")
        if self.total > 256:
            raise ValueError(f"total is {self.total}: Tahoe makes 256 shares at most")
        for smaller, larger in _LIMITS:
            if numbers[smaller] > numbers[larger]:
                raise ValueError(
                    f"{smaller} is {numbers[smaller]} and {larger} is {numbers[larger]}:"
                    f" {smaller} must not be more than {larger}"
                )


class GridFolder:
    """The folder that a grid lives in: a kept one, or a temporary one that `release` removes."""

    def __init__(self, kept: Path | None) -> None:
        self.temporary = kept is None
        self.path = kept or Path()
        self._lock: int | None = None

    def plan(self, asked: Mapping[str, int]) -> Plan:
        """
        The plan of the folder, changed by the numbers that are asked for.

        Raises: GridError if the folder holds something else than a grid, ValueError for numbers
        that are impossible, or that leave out nodes of the folder.
        """
        if self.temporary or not self.path.exists():
            return Plan(**asked)
        if not (self.path / _PLAN).exists():
            if not self.path.is_dir() or set(os.listdir(self.path)) - {_NEW_PLAN, _LOCK}:
                raise GridError(
                    f"{self.path} exists and is no folder of a grid: give a new or an empty one"
                )
            return Plan(**asked)
        kept = json.loads((self.path / _PLAN).read_text())
        for name in ("servers", "gateways"):
            if asked.get(name, kept[name]) < kept[name]:
                raise ValueError(
                    f"{name} is {asked[name]}, and {self.path} holds {kept[name]} of them:"
                    f" give {kept[name]} or more, or another folder"
                )
        return Plan(**{**kept, **asked})

    def hold(self, plan: Plan) -> int:
        """
        Make the folder, take it for this process alone, and note the plan for the next start.

        Returns the descriptor of the lock. The nodes get it too: the folder is free only when the
        last of them has ended, also after a kill of their parent. This waits 10 s for that.

        Raises: GridError if another process has the folder.
        """
        if self.temporary:
            self.path = Path(tempfile.mkdtemp(prefix="tahoe-grid-"))
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        _held.add(self)
        deadline = time.monotonic() + _LOCK_SECONDS
        while not _locked(self._lock):
            holder = int(os.pread(self._lock, 20, 0) or 0)
            if time.monotonic() > deadline or _exists(holder):
                self.abandon()
                raise GridError(
                    f"{self.path} is in use: the process {holder} runs the grid in it. Stop that"
                    " process, or give another folder."
                )
            time.sleep(0.1)
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode("ascii"), 0)
        new = self.path / _NEW_PLAN
        new.write_text(json.dumps(asdict(plan), indent=1) + "\n")
        new.replace(self.path / _PLAN)
        return self._lock

    def release(self) -> None:
        """Let others have the folder; remove a temporary one."""
        if self._lock is not None:
            if self.temporary:
                shutil.rmtree(self.path, ignore_errors=True)
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            self.abandon()

    def abandon(self) -> None:
        """Close the lock without a change of the folder."""
        _held.discard(self)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


_held: WeakSet[GridFolder] = WeakSet()


def _abandon_all() -> None:
    for folder in list(_held):
        folder.abandon()


# A forked child has a copy of the grid but not the grid: it must neither remove the folder nor
# hold it longer than its parent does.
os.register_at_fork(after_in_child=_abandon_all)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is another user's
        return True
    return pid != 0
