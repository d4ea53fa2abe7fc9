"""What checking tells: of one object, and of the objects on a walk through a tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import field, frozen

from txtahoe.caps import BadCap, Cap
from txtahoe.errors import NotAGateway
from txtahoe.sealing import sealed


@frozen
class CheckReport:
    """
    The health of one object.

    `is_healthy`: all shares that there should be are there. `is_recoverable`: enough are.
    `counts`: everything the gateway says, under the names of Tahoe-LAFS's webapi.rst.
    `before`: the report from before a repair, where one was attempted; this is the one after it.
    `is_repaired`: whether that succeeded; None where none was attempted.

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

    `path`: the names that lead to it. `cap`: the strongest cap for it; None where it can't be
    parsed. `report`: its health, on a deep-check.
    """

    path: tuple[str, ...]
    type: Literal["file", "directory", "unknown"]
    cap: Cap | None
    report: CheckReport | None = None


@sealed
def parse_report(answer: Any) -> CheckReport:
    """The report of a check, or of a check with repair. Raises: NotAGateway."""
    try:
        if "repair-attempted" in answer:
            return _repair_report(answer)
        return _check_report(answer)
    except (TypeError, KeyError, AttributeError):
        raise NotAGateway("the gateway reported a check in a form that is not known") from None


@sealed
def parse_entry(line: Any) -> Entry:
    """One line of a stream. Raises: NotAGateway."""
    try:
        answer = line.get("check-results") or line.get("check-and-repair-results")
        path = tuple(line["path"])
        if not all(isinstance(name, str) for name in path):
            raise TypeError
        return Entry(
            path=path,
            type=line["type"] if line["type"] in ("file", "directory") else "unknown",
            cap=_cap_or_none(line["cap"]),
            report=parse_report(answer) if answer else None,
        )
    except (TypeError, KeyError, AttributeError):
        raise NotAGateway("the gateway streamed a line in a form that is not known") from None


def _check_report(answer: Any) -> CheckReport:
    results = answer["results"]
    return CheckReport(
        is_healthy=bool(results["healthy"]),
        # A LIT cap's results say that it is healthy, and no more.
        is_recoverable=bool(results.get("recoverable", results["healthy"])),
        summary=answer.get("summary", ""),
        counts=results,
    )


def _repair_report(answer: Any) -> CheckReport:
    if "post-repair-results" not in answer:
        return CheckReport(is_healthy=True, is_recoverable=True)
    after = _check_report(answer["post-repair-results"])
    if not answer["repair-attempted"]:
        return after
    return CheckReport(
        is_healthy=after.is_healthy,
        is_recoverable=after.is_recoverable,
        summary=after.summary,
        counts=after.counts,
        before=_check_report(answer["pre-repair-results"]),
        is_repaired=bool(answer["repair-successful"]),
    )


def _cap_or_none(text: str) -> Cap | None:
    try:
        return Cap.parse(text)
    except BadCap:
        return None
