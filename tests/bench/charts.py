"""Charts of the results, if matplotlib is installed. Nothing else needs it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.bench.growth import Growth
from tests.bench.measuring import Result

_AXES = {
    "names": "names in the directory",
    "depth": "directories on the path",
    "fanout": "names, spread over parts",
    "flat": "names, in one directory",
}


def is_available() -> bool:
    """Whether matplotlib can be imported."""
    return find_spec("matplotlib") is not None


def draw(
    folder: Path, results: Sequence[Result], growth: Sequence[tuple[Growth, Result]]
) -> list[Path]:
    """Make a folder, and write the charts to it as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {}
    compared = [result for result in results if result.ratio is not None]
    if compared:
        figures["cases.png"] = _cases(compared)
    for axis in _AXES:
        points = [point for point in growth if point[0].axis == axis and point[1].ours]
        if points:
            figures[f"growth-{axis}.png"] = _growth(axis, points)
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=120)
    return [folder / name for name in figures]


def _figure(width: float, height: float) -> Any:
    # pyplot would look for a display, and keep every figure.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _cases(results: Sequence[Result]) -> Any:
    """The ratio of our time to the bare time, for each case."""
    figure = _figure(9, 1.2 + 0.4 * len(results))
    axes = figure.add_subplot()
    names = [result.case.name for result in results]
    times = [(result.ours_median or 0) / (result.bare_median or 1) for result in results]
    colours = ["tab:red" if result.missed else "tab:blue" for result in results]
    bars = axes.barh(names, times, color=colours)
    axes.bar_label(bars, fmt="%.2f", label_type="center", color="white")
    for row, result in enumerate(results):
        most = _most_time(result)
        if most is not None:
            axes.plot([most, most], [row - 0.4, row + 0.4], color="black")
    axes.axvline(1, color="grey", linewidth=1, linestyle="dashed")
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel("time, bare requests = 1; black: target; red: a target is missed")
    return figure


def _most_time(result: Result) -> float | None:
    speed = result.case.speed
    return 1 / speed.throughput if speed.throughput is not None else speed.time


def _growth(axis: str, points: Sequence[tuple[Growth, Result]]) -> Any:
    """A frame for each operation, with a curve of ours and one of bare."""
    operations = list(dict.fromkeys(point.operation for point, _ in points))
    figure = _figure(3.2 * len(operations), 3.6)
    frames = figure.subplots(1, len(operations), sharey=True, squeeze=False)[0]
    for axes, operation in zip(frames, operations, strict=True):
        of_operation = [pair for pair in points if pair[0].operation == operation]
        values = [point.value for point, _ in of_operation]
        for label, style, times in (
            ("ours", "o-", [result.ours_median for _, result in of_operation]),
            ("bare", "s--", [result.bare_median for _, result in of_operation]),
        ):
            axes.plot(values, [(time or float("nan")) * 1000 for time in times], style, label=label)
        if axis == "names":
            axes.set_xscale("symlog", linthresh=100)
        axes.set_yscale("log")
        axes.set_title(operation)
        axes.set_xlabel(_AXES[axis])
        axes.legend()
    frames[0].set_ylabel("milliseconds")
    return figure
