"""Results as a table to read, and as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from typing import Any

from attrs import asdict

from tests.bench.growth import Growth
from tests.bench.measuring import Result
from tests.bench.place import Concurrency

_HEAD = (
    "case",
    "target",
    "ours",
    "bare",
    "ratio",
    "local",
    "requests",
    "rounds",
    "directory reads",
    "directory writes",
    "memory",
    "met",
)
_LEFT_COLUMNS = 2
_LEGEND = (
    "ours, bare: median of the rounds, of one operation. ratio: of these times, ours to bare;\n"
    "where the target is a throughput, of the throughputs; in brackets those of the rounds.\n"
    "local: the same of FileSystemStorage, on the disk of this machine.\n"
    "requests: of one run of ours, with those of directories apart. rounds: how many of them had\n"
    "to wait for each other: the longest chain in which each began after the end of another.\n"
    "memory: the most by which this process grew in a run of ours, beyond what it began with."
)


def table(results: Sequence[Result]) -> str:
    """A line for each result; below the table, missed targets, skipped cases and errors."""
    rows = [_HEAD, *map(_row, results)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(_cells(row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, "", _LEGEND, *_remarks(results)])


def document(
    results: Sequence[Result],
    growth: Sequence[tuple[Growth, Result]],
    concurrency: Concurrency,
    rounds: int,
) -> dict[str, Any]:
    """All measurements, for `json`; times in seconds, sizes in bytes."""
    return {
        "machine": {
            "python": platform.python_version(),
            "system": platform.system(),
            "processors": os.cpu_count(),
        },
        "bare_concurrency": asdict(concurrency),
        "rounds": rounds,
        "cases": [_entry(result) for result in results],
        "growth": [
            {
                "operation": point.operation,
                "axis": point.axis,
                "value": point.value,
                **_entry(result),
            }
            for point, result in growth
        ],
    }


def duration(seconds: float | None) -> str:
    """Three digits and a unit; empty for None."""
    if seconds is None:
        return ""
    for unit, factor in (("s", 1), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def _row(result: Result) -> tuple[str, ...]:
    counts = result.counts
    return (
        result.case.name,
        result.case.target,
        duration(result.ours_median),
        duration(result.bare_median),
        _ratio(result),
        duration(result.local_median),
        "" if counts is None else str(counts.requests),
        "" if counts is None else str(counts.rounds),
        "" if counts is None else str(counts.directory_reads),
        "" if counts is None else str(counts.directory_writes),
        "" if result.memory is None else f"{result.memory / 1e6:.1f} MB",
        _verdict(result),
    )


def _ratio(result: Result) -> str:
    if result.ratio is None:
        return ""
    return f"{result.ratio:.3f} ({min(result.ratios):.2f} to {max(result.ratios):.2f})"


def _verdict(result: Result) -> str:
    if result.is_failure:
        return "failed"
    if result.missed:
        return "no"
    if result.counts is None:
        return "skipped"
    return "yes" if result.case.target else ""


def _cells(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.ljust(width) if column < _LEFT_COLUMNS else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _remarks(results: Sequence[Result]) -> list[str]:
    remarks = []
    for result in results:
        said = [*result.missed, *([result.problem] if result.problem else [])]
        if said:
            remarks.append(f"* {result.case.name}: {'; '.join(said)}")
    return ["", *remarks] if remarks else []


def _entry(result: Result) -> dict[str, Any]:
    return {
        "case": result.case.name,
        "target": result.case.target,
        "operations": result.case.operations,
        "ours": result.ours,
        "bare": result.bare,
        "local": result.local,
        "ratio": result.ratio,
        "ratios": result.ratios,
        "counts": None if result.counts is None else asdict(result.counts),
        "memory": result.memory,
        "missed": result.missed,
        "problem": result.problem,
    }
