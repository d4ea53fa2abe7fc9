"""How much memory this process takes at most while something runs."""

from __future__ import annotations

from pathlib import Path
from typing import Self

_PROCESS = Path("/proc/self")
_RESET_PEAK = "5"  # see proc(5), clear_refs


class MemoryGrowth:
    """
    `size`: bytes by which the resident memory had grown at its peak within the `with` block; None
    on a system that does not tell.

    The kernel keeps the peak: no sampling disturbs what is timed, and no short peak is missed.
    """

    size: int | None = None
    _before: int | None = None

    def __enter__(self) -> Self:
        try:
            (_PROCESS / "clear_refs").write_text(_RESET_PEAK)
            self._before = _status("VmRSS")
        except OSError:
            pass
        return self

    def __exit__(self, *raised: object) -> None:
        if self._before is not None:
            self.size = max(0, _status("VmHWM") - self._before)


def _status(name: str) -> int:
    for line in (_PROCESS / "status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    raise OSError(f"the system does not tell {name}")
