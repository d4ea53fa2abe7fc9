"""The results of checks: of one object, and of the objects on a walk through a tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import evolve, field, frozen

from txtahoe.caps import BadCap, Cap
from txtahoe.nodes import understanding
from txtahoe.sealing import sealed


@frozen
class CheckReport:
    """
    The health of one object.

    `is_healthy`: all shares that there should be are there. `is_recoverable`: enough are.
    `counts`: everything the gateway says, under the names of Tahoe-LAFS's webapi.rst.
    `before`: the report from before a repair, if the gateway tried one; this is the one after it.
    `is_repaired`: whether that succeeded; None without a repair.

    A LIT cap has no shares, and is always healthy.
    """

    is_healthy: bool
    is_recoverable: bool
    summary: str = ""
    counts: Mapping[str, Any] = field(factory=dict, repr=False)
    before: CheckReport | None = field(default=None, repr=False)
    is_repaired: bool | None = None


@frozen
class Entry:
    """
    An object met on a walk through a tree.

    `path`: the names that lead to it. `cap`: the strongest cap for it; None if it can't be
    parsed. `report`: its health, on a deep-check.
    """

    path: tuple[str, ...]
    type: Literal["file", "directory", "unknown"]
    cap: Cap | None
    report: CheckReport | None = None


@sealed
@understanding("the report of a check")
def parse_report(answer: Any) -> CheckReport:
    """The report of a check, or of a check with repair. Raises: NotAGateway."""
    if "repair-attempted" not in answer:
        return _report(answer)
    if "post-repair-results" not in answer:  # of a LIT cap
        return CheckReport(is_healthy=True, is_recoverable=True)
    after = _report(answer["post-repair-results"])
    if not answer["repair-attempted"]:
        return after
    before = _report(answer["pre-repair-results"])
    return evolve(after, before=before, is_repaired=bool(answer["repair-successful"]))


@sealed
@understanding("a line of the stream")
def parse_entry(line: Any) -> Entry:
    """One line of a stream. Raises: NotAGateway."""
    answer = line.get("check-results") or line.get("check-and-repair-results")
    path = tuple(line["path"])
    if not all(isinstance(name, str) for name in path):
        raise TypeError
    try:
        cap = Cap.parse(line["cap"])
    except BadCap:
        cap = None
    return Entry(
        path=path,
        type=line["type"] if line["type"] in ("file", "directory") else "unknown",
        cap=cap,
        report=parse_report(answer) if answer else None,
    )


def _report(answer: Any) -> CheckReport:
    results = answer["results"]
    return CheckReport(
        is_healthy=bool(results["healthy"]),
        # A LIT cap's results say that it is healthy, and no more.
        is_recoverable=bool(results.get("recoverable", results["healthy"])),
        summary=answer.get("summary", ""),
        counts=results,
    )
