"""
Operations on whole trees: streams, and slow operations, whose results wait for their reader.

After Tahoe's `allmydata.web.directory` and `allmydata.web.operations`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from txtahoe.testing.fake.api.calls import Call, Operation
from txtahoe.testing.fake.api.checks import check_and_repair, result, wants_repair
from txtahoe.testing.fake.http.question import (
    Answer,
    Question,
    as_json,
    plain,
    redirect,
    refusal,
    say,
)
from txtahoe.testing.fake.http.refusals import Lost, Refused
from txtahoe.testing.fake.objects.nodes import Node
from txtahoe.testing.fake.objects.trees import Path, Walk

_DAY = 24 * 60 * 60
_TYPES = {"dirnode": "directory", "filenode": "file"}

# Streams


def stream_manifest(call: Call) -> Answer:
    """`t=stream-manifest`: a line of JSON for each object, and one of statistics at the end."""
    return _stream(call, lambda node: {})


def stream_check(call: Call) -> Answer:
    """`t=stream-deep-check`: as the manifest, with the result of checking each object."""
    if wants_repair(call.question):
        return _stream(
            call, lambda node: {"check-and-repair-results": check_and_repair(call.store, node)}
        )
    return _stream(call, lambda node: {"check-results": result(call.store, node)})


def _stream(call: Call, more: Callable[[Node], dict[str, Any]]) -> Answer:
    lines: list[str] = []
    walk = Walk(call.store, call.target)
    try:
        for path, node in walk:
            lines.append(json.dumps({**_described(path, node), **more(node)}))
        lines.append(json.dumps({"type": "stats", "stats": walk.stats}))
    except Lost as error:
        # What has been found so far is sent before it, with status 200.
        lines += [
            f"ERROR: {error.name.rpartition('.')[2]}({error.reason})",
            f"[Failure instance: Traceback: <class '{error.name}'>: {error.reason}",
            "]",
        ]
    return say("".join(f"{line}\n" for line in lines))


def _described(path: Path, node: Node) -> dict[str, Any]:
    repair = ""
    # Tahoe names none for an immutable directory, nor for a mutable object behind a read cap.
    if node.cap and (node.cap.is_writable or node.cap.kind == "CHK"):
        repair = node.uri if node.cap.is_writable else node.verify_uri
    return {
        "path": path,
        "cap": node.uri,
        "type": _TYPES.get(node.type, "unknown"),
        "verifycap": node.verify_uri,
        "repaircap": repair,
        "storage-index": node.storage_index,
    }


# Slow operations


class Operations:
    """
    The handles of a gateway, each with its result.

    An operation is finished before its handle is given out: there is no waiting for a network.
    """

    def __init__(self) -> None:
        # Each with the time when it is forgotten.
        self._outcomes: dict[str, tuple[Answer, float]] = {}

    def start(self, call: Call) -> Answer:
        """`POST ?t=start-…&ophandle=H`: redirect to where the result is. Raises: Refused."""
        question = call.question
        handle = question.argument("ophandle")
        if not handle:
            raise Refused(400, "slow operation requires ophandle=")
        try:
            answer = STARTED[question.operation](call)
        except Refused as error:
            answer = refusal(Refused(error.status, error.text, "Error"))
        self._keep(handle, answer, question, 4 * _DAY)
        output = question.argument("output")
        query = f"?output={quote(output)}" if output else ""
        place = f"{question.host}/operations/{quote(handle, safe='')}"
        return redirect(place + query, chunked=True)

    def answer(self, question: Question) -> Answer:
        """Answer `/operations/HANDLE`; `t=cancel` and `release-after-complete` forget it."""
        handle = question.path[-1].decode()
        answer, end = self._outcomes.get(handle, (None, 0.0))
        if answer is None or time.time() >= end:
            raise Refused(404, f"unknown/expired handle '{handle}'", "Error")
        self._keep(handle, answer, question, _DAY)
        if question.operation == "cancel" or question.flag("release-after-complete"):
            del self._outcomes[handle]
        return answer

    def _keep(self, handle: str, answer: Answer, question: Question, seconds: int) -> None:
        kept = float(question.argument("retain-for", str(seconds)))
        self._outcomes[handle] = answer, time.time() + kept


def _manifest(call: Call) -> Answer:
    walk = Walk(call.store, call.target)
    met = list(walk)
    shared = [node for _, node in met if node.verify_uri]
    told = {
        "stats": walk.stats,
        "finished": True,
        "origin": call.target.storage_index,
        "manifest": [[path, node.uri] for path, node in met],
        "verifycaps": [node.verify_uri for node in shared],
        "storage-index": [node.storage_index for node in shared],
    }
    return plain(as_json(told))


def _stats(call: Call) -> dict[str, Any]:
    walk = Walk(call.store, call.target)
    for _ in walk:
        pass
    return walk.stats


Results = list[tuple[Path, dict[str, Any]]]


def _check(call: Call) -> Answer:
    repair = wants_repair(call.question)
    find, summarize = (check_and_repair, _repaired) if repair else (result, _checked)
    walk = Walk(call.store, call.target)
    results = [(path, find(call.store, node)) for path, node in walk]
    told = {
        "finished": True,
        "root-storage-index": call.target.storage_index,
        **summarize([(path, found) for path, found in results if found["storage-index"]]),
        "stats": walk.stats,
    }
    return say(as_json(told), type_="text/plain")


def _unhealthy(results: Results) -> Results:
    return [(path, found) for path, found in results if not found["results"]["healthy"]]


def _checked(results: Results) -> dict[str, Any]:
    unhealthy = _unhealthy(results)
    return {
        "count-objects-checked": len(results),
        "count-objects-healthy": len(results) - len(unhealthy),
        "count-objects-unhealthy": len(unhealthy),
        "count-corrupt-shares": 0,
        "list-corrupt-shares": [],
        "list-unhealthy-files": unhealthy,
    }


def _repaired(results: Results) -> dict[str, Any]:
    before = _unhealthy([(path, found["pre-repair-results"]) for path, found in results])
    after = _unhealthy([(path, found["post-repair-results"]) for path, found in results])
    attempted = sum(found["repair-attempted"] for _, found in results)
    successful = sum(found["repair-successful"] for _, found in results)
    return {
        "count-objects-checked": len(results),
        "count-objects-healthy-pre-repair": len(results) - len(before),
        "count-objects-unhealthy-pre-repair": len(before),
        "count-objects-healthy-post-repair": len(results) - len(after),
        "count-objects-unhealthy-post-repair": len(after),
        "count-repairs-attempted": attempted,
        "count-repairs-successful": successful,
        "count-repairs-unsuccessful": attempted - successful,
        "count-corrupt-shares-pre-repair": 0,
        "count-corrupt-shares-post-repair": 0,
        "list-corrupt-shares": [],
        "list-remaining-corrupt-shares": [],
        "list-unhealthy-files": before,
    }


STARTED: dict[str, Operation] = {
    "start-manifest": _manifest,
    "start-deep-size": lambda call: plain(as_json({"finished": True, "size": _stats(call)})),
    "start-deep-stats": lambda call: plain(as_json({**_stats(call), "finished": True})),
    "start-deep-check": _check,
}
