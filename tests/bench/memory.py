"""The most memory that a process takes while something runs."""

from __future__ import annotations

from pathlib import Path
from typing import Self

_RESET_PEAK = "5"  # see proc(5), clear_refs


class MemoryGrowth:
    """
    `process`: its number; by default this process.
    `size`: bytes by which the resident memory had grown at its peak within the `with` block; None
    on a system that does not tell.

    The kernel keeps the peak, so no sampling disturbs the times or misses a short peak.
    """

    size: int | None = None
    _before: int | None = None

    def __init__(self, process: int | None = None) -> None:
        self._folder = Path("/proc") / ("self" if process is None else str(process))

    def __enter__(self) -> Self:
        try:
            (self._folder / "clear_refs").write_text(_RESET_PEAK)
            self._before = self._status("VmRSS")
        except OSError:
            pass
        return self

    def __exit__(self, *raised: object) -> None:
        if self._before is not None:
            self.size = max(0, self._status("VmHWM") - self._before)

    def _status(self, name: str) -> int:
        for line in (self._folder / "status").read_text().splitlines():
            key, _, value = line.partition(":")
            if key == name:
                return int(value.split()[0]) * 1024
        raise OSError(f"the system does not tell {name}")
