"""The folder of a grid: what it holds, and that one process at a time uses it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self
from weakref import WeakSet

from txtahoe.testing.node import GridError

PLAN = "grid.json"
LOCK = "grid.lock"


@dataclass(frozen=True)
class Plan:
    """How many nodes a grid has, and into how many shares its gateways encode a file.

    `needed` of `total` shares give the file back; an upload fails when it reaches fewer than
    `happy` servers (Tahoe's docs/specifications/servers-of-happiness.rst).
    """

    servers: int
    gateways: int
    needed: int
    total: int
    happy: int

    @classmethod
    def made_of(cls, numbers: Mapping[str, int]) -> Self:
        """The plan with these numbers and sensible ones where none is given.

        Raises ValueError for numbers with which no upload could succeed.
        """
        servers = numbers.get("servers", 3)
        total = numbers.get("total", servers)
        needed = numbers.get("needed", min(total, (servers + 1) // 2))
        happy = numbers.get("happy", needed)
        plan = cls(servers, numbers.get("gateways", 1), needed, total, happy)
        plan.check()
        return plan

    def check(self) -> None:
        """Raise ValueError for numbers with which no upload could succeed."""
        for name, number in asdict(self).items():
            if number < 1:
                raise ValueError(f"{name} is {number}: give 1 or more")
        if self.total > 256:
            raise ValueError(f"total is {self.total}: Tahoe makes 256 shares at most")
        for smaller, larger in (
            ("needed", "servers"),
            ("happy", "servers"),
            ("needed", "total"),
            ("happy", "total"),
        ):
            if getattr(self, smaller) > getattr(self, larger):
                raise ValueError(
                    f"{smaller} is {getattr(self, smaller)} and {larger} is"
                    f" {getattr(self, larger)}: {smaller} must not be more than {larger}"
                )


class GridFolder:
    """The folder that a grid lives in: a kept one, or a temporary one that `release` removes."""

    def __init__(self, kept: Path | None) -> None:
        self.temporary = kept is None
        self.path = kept or Path()
        self._lock: int | None = None

    def plan(self, asked: Mapping[str, int]) -> Plan:
        """The plan that the folder was kept with, changed by what is asked for.

        Raises GridError when the folder holds something else than a grid, ValueError when the
        numbers cannot be, or would leave out nodes that are there.
        """
        if self.temporary or not self.path.exists():
            return Plan.made_of(asked)
        if not (self.path / PLAN).exists():
            self._check_unused()
            return Plan.made_of(asked)
        kept = json.loads((self.path / PLAN).read_text())
        for name in ("servers", "gateways"):
            if asked.get(name, kept[name]) < kept[name]:
                raise ValueError(
                    f"{name} is {asked[name]}, and {self.path} holds {kept[name]} of them:"
                    f" give {kept[name]} or more, or another folder"
                )
        return Plan.made_of({**kept, **asked})

    def _check_unused(self) -> None:
        ours = (PLAN, f"{PLAN}.new", LOCK)
        if not self.path.is_dir() or any(entry.name not in ours for entry in self.path.iterdir()):
            raise GridError(
                f"{self.path} is there and is no folder of a grid: give a new or an empty one"
            )

    def hold(self, timeout: float = 10) -> int:
        """Make the folder, take it for this process alone and return the lock's descriptor.

        Raises GridError when another process has it. The nodes are given the descriptor too: so
        the folder is free only when the last of them has ended, also after a kill of their
        parent. For that we wait `timeout` seconds at most.
        """
        if self.temporary:
            self.path = Path(tempfile.mkdtemp(prefix="tahoe-grid-"))
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        _held.add(self)
        deadline = time.monotonic() + timeout
        while not _locked(self._lock):
            holder = _holder(self._lock)
            if time.monotonic() > deadline or _exists(holder):
                self.abandon()
                raise GridError(
                    f"{self.path} is in use: the process {holder} runs the grid in it. Stop that"
                    " process, or give another folder."
                )
            time.sleep(0.1)
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode("ascii"), 0)
        return self._lock

    def keep(self, plan: Plan) -> None:
        """Write down the plan for the next start."""
        new = self.path / f"{PLAN}.new"
        new.write_text(json.dumps(asdict(plan), indent=1) + "\n")
        new.replace(self.path / PLAN)

    def release(self) -> None:
        """Let others have the folder; a temporary one is removed."""
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


def _holder(descriptor: int) -> int:
    return int(os.pread(descriptor, 20, 0) or 0)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is there, and another user's
        return True
    return pid != 0
