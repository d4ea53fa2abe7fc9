"""The report of a long run: as text, and drawn where matplotlib is installed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field

from tests.soak.growth import BOUNDS, Growth, Judgement
from tests.soak.truth import Verdict

_MOST_LINES = 200  # of one kind of mistake


@define
class Report:
    """
    Everything that is known so far.

    `roles`: the processes whose growth must be judged, by the beginnings of their names. `wrong`:
    mistakes of the site under way, in words. `verdict`: None until the files were compared.
    """

    seed: int
    operations: Counter[tuple[str, str]]
    cron: Counter[tuple[str, str]]
    faults: Counter[str]
    growth: Growth
    roles: Sequence[str]
    skipped: Sequence[str] = ()
    wrong: Sequence[str] = ()
    verdict: Verdict | None = None
    moments: list[float] = field(factory=list)
    minutes: float = 0

    @property
    def judged(self) -> list[Judgement]:
        return self.growth.judged()

    @property
    def mistakes(self) -> dict[str, list[str]]:
        """The mistakes of each kind, in words."""
        verdict = self.verdict or Verdict()
        grown = [
            f"{each.who}: {each.what}, {each.before:.1f} -> {each.after:.1f}"
            for each in self.judged
            if each.is_grown
        ]
        return {
            "lost": verdict.lost,
            "wrong": [*self.wrong, *verdict.wrong],
            "duplicates": verdict.duplicates,
            "grown": grown,
        }

    @property
    def is_bad(self) -> bool:
        return any(self.mistakes.values()) or bool(self.void)

    @property
    def void(self) -> list[str]:
        """The run proves nothing for these reasons; if there are none, it proves something."""
        total = self.operations.total()
        ok = sum(number for (_, outcome), number in self.operations.items() if outcome == "ok")
        reasons = {
            "the files were not compared": self.verdict is None,
            f"{ok} of {total} operations succeeded": ok <= total / 2,
        }
        return [reason for reason, is_so in reasons.items() if is_so]

    @property
    def missing(self) -> list[str]:
        """The run does not prove these things; if there are none, it proves everything."""
        never = [name for name, number in self.faults.items() if not number]
        known = [role for role in self.roles if any(j.who.startswith(role) for j in self.judged)]
        reasons = {
            f"these faults never came: {', '.join(never)}": bool(never) or not self.faults,
            f"only of {', '.join(known) or 'nothing'} the growth is known": len(known)
            < len(self.roles),
        }
        return [reason for reason, is_so in reasons.items() if is_so]

    def __str__(self) -> str:
        outcomes = sorted({outcome for _, outcome in self.operations}, key=lambda o: (o != "ok", o))
        kinds = sorted({kind for kind, _ in self.operations})
        rows = [[kind, *(self.operations[kind, each] or "" for each in outcomes)] for kind in kinds]
        statuses = sorted({status for _, status in self.cron})
        verbs = sorted({verb for verb, _ in self.cron})
        parts = [
            f"{self.operations.total()} operations in {self.minutes:.1f} minutes, seed {self.seed}",
            _table(["operation", *outcomes], rows),
            _table(
                ["cron, by exit status", *statuses],
                [[verb, *(self.cron[verb, each] or "" for each in statuses)] for verb in verbs],
            ),
            _table(["fault", "times"], self.faults.items()),
            _table(
                ["process", "what", "2nd third", "last third", ""],
                [
                    [j.who, j.what, f"{j.before:.1f}", f"{j.after:.1f}", "GROWN" * j.is_grown]
                    for j in self.judged
                ],
            ),
            *self.skipped,
            *self._conclusion(),
        ]
        return "\n\n".join(parts)

    def _conclusion(self) -> Iterable[str]:
        for kind, found in self.mistakes.items():
            if lines := [*dict.fromkeys(found)]:
                more = [f"and {len(lines) - _MOST_LINES} more"] * (len(lines) > _MOST_LINES)
                yield "\n".join([f"{kind}:", *lines[:_MOST_LINES], *more])
        if self.verdict is not None:
            yield (
                f"{self.verdict.compared} files compared by SHA-256, {self.verdict.doubtful} names "
                "with an unknown outcome; "
                + ", ".join(f"{len(found)} {kind}" for kind, found in self.mistakes.items())
            )
        for word, reasons in (("proves nothing", self.void), ("inconclusive", self.missing)):
            if reasons:
                yield f"{word}: {'; '.join(reasons)}"

    def draw(self, file: Path) -> None:
        """
        Draw the growth of each process and folder as a PNG, those of a kind in one colour; grey
        lines are faults.
        """
        # pyplot would look for a display, and keep every figure.
        from matplotlib.figure import Figure

        figure: Any = Figure(figsize=(11, 3 * len(BOUNDS)), layout="constrained")
        frames = figure.subplots(len(BOUNDS), 1, sharex=True)
        for axes, what in zip(frames, BOUNDS, strict=True):
            colours: dict[str, str] = {}
            for who, taken in self.growth.samples.items():
                points = [(each.moment, each.had[what]) for each in taken if what in each.had]
                if points:
                    kind = re.sub(r" \d+$", "", who)
                    label = None if kind in colours else kind
                    colour = colours.setdefault(kind, f"C{len(colours)}")
                    axes.plot(*zip(*points, strict=True), label=label, color=colour, linewidth=1)
            for moment in self.moments:
                axes.axvline(moment, color="0.85", linewidth=0.5, zorder=0)
            axes.set_ylabel(what)
            axes.set_ylim(bottom=0)
            axes.legend(fontsize="small", ncols=4)
        frames[-1].set_xlabel("operations")
        figure.savefig(file, dpi=120)


def _table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    texts = [[*map(str, row)] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in texts
    )
