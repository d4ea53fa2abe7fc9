"""What a person sees while the demo starts."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from tqdm import tqdm  # type: ignore[import-untyped]


class Progress:
    """A bar on the terminal that goes away at the end; where there is no terminal, nothing."""

    def __init__(self, own_steps: int = 0) -> None:
        self._own_steps = own_steps
        self._bar = tqdm(
            bar_format="{desc:<42} {bar:24} {n_fmt}/{total_fmt}", leave=False, disable=None
        )

    def grid(self, what: str, done: int, steps: int) -> None:
        """What a Grid reports while it starts."""
        self._bar.total = steps + self._own_steps
        self._bar.set_description_str(what, refresh=False)
        self._bar.update(done - self._bar.n)
        self._bar.refresh()

    def step(self, what: str) -> None:
        """One of the steps after those of the grid begins."""
        self._bar.set_description_str(what)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()
