"""Slow operations, whose results wait under `/operations/HANDLE`; after Tahoe's module so named."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from attrs import frozen

from txtahoe.testing.fake.api.calls import Call
from txtahoe.testing.fake.api.checks import check_and_repair, result, wants_repair
from txtahoe.testing.fake.http.question import Answer, Question, as_json, page, plain, redirect, say
from txtahoe.testing.fake.http.refusals import Refused
from txtahoe.testing.fake.objects.nodes import Node
from txtahoe.testing.fake.objects.store import Store
from txtahoe.testing.fake.objects.trees import Path, Walk

_DAY = 24 * 60 * 60


@frozen
class _Outcome:
    answer: Answer
    expires: float


class Operations:
    """
    The handles of a gateway, each with its result.

    An operation is finished before its handle is given out: there is no waiting for a network.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._outcomes: dict[str, _Outcome] = {}

    def start(self, call: Call) -> Answer:
        """`POST ?t=start-…&ophandle=H`: redirect to where the result is. Raises: Refused."""
        question = call.question
        handle = question.argument("ophandle", "")
        if not handle:
            raise Refused(400, "slow operation requires ophandle=")
        try:
            answer = STARTED[question.operation](call)
        except Refused as error:
            answer = page(error.status, "Error", error.text)
        self._outcomes[handle] = _Outcome(answer, self._expiry(question, 4 * _DAY))
        output = question.argument("output", "")
        query = f"?output={quote(output)}" if output else ""
        place = f"{question.host}/operations/{quote(handle, safe='')}"
        return redirect(place + query, chunked=True)

    def answer(self, question: Question, handle: str) -> Answer:
        """What `/operations/HANDLE` answers; `t=cancel` and `release-after-complete` forget it."""
        outcome = self._outcomes.get(handle)
        if outcome is None or self._store.now() >= outcome.expires:
            return page(404, "Error", f"unknown/expired handle '{handle}'")
        expiry = self._expiry(question, _DAY)
        self._outcomes[handle] = _Outcome(outcome.answer, expiry)
        if question.operation == "cancel" or question.flag("release-after-complete"):
            del self._outcomes[handle]
        return outcome.answer

    def _expiry(self, question: Question, seconds: float) -> float:
        return self._store.now() + float(question.argument("retain-for", str(seconds)))


def _manifest(call: Call) -> Answer:
    met: list[tuple[Path, Node]] = []
    stats = _walked(call, lambda path, node: met.append((path, node)))
    nodes = [node for _, node in met]
    told = {
        "stats": stats,
        "finished": True,
        "origin": call.target.known.storage_index or "",
        "manifest": [[path, node.uri] for path, node in met],
        "verifycaps": [node.verify_uri for node in nodes if node.verify_uri],
        "storage-index": [node.cap.storage_index for node in nodes if node.cap and node.verify_uri],
    }
    return plain(json.dumps(told, indent=1))


def _size(call: Call) -> Answer:
    return plain(json.dumps({"finished": True, "size": _walked(call)}))


def _stats(call: Call) -> Answer:
    return plain(json.dumps({**_walked(call), "finished": True}, indent=1))


def _check(call: Call) -> Answer:
    results: list[tuple[Path, dict[str, Any]]] = []
    repair = wants_repair(call.question)
    find = check_and_repair if repair else result
    stats = _walked(call, lambda path, node: results.append((path, find(call.store, node))))
    summary = _repair_summary if repair else _check_summary
    told = {
        "finished": True,
        "root-storage-index": call.target.known.storage_index,
        **summary([(path, found) for path, found in results if found["storage-index"]]),
        "stats": stats,
    }
    return say(as_json(told), type_="text/plain")


STARTED: dict[str, Callable[[Call], Answer]] = {
    "start-manifest": _manifest,
    "start-deep-size": _size,
    "start-deep-stats": _stats,
    "start-deep-check": _check,
}


def _walked(call: Call, meet: Callable[[Path, Node], None] = lambda path, node: None) -> Any:
    walk = Walk(call.store, call.target, meet)
    walk.run()
    return walk.stats


Results = list[tuple[Path, dict[str, Any]]]


def _unhealthy(results: Results) -> Results:
    return [(path, found) for path, found in results if not found["results"]["healthy"]]


def _check_summary(results: Results) -> dict[str, Any]:
    unhealthy = _unhealthy(results)
    return {
        "count-objects-checked": len(results),
        "count-objects-healthy": len(results) - len(unhealthy),
        "count-objects-unhealthy": len(unhealthy),
        "count-corrupt-shares": 0,
        "list-corrupt-shares": [],
        "list-unhealthy-files": unhealthy,
    }


def _repair_summary(results: Results) -> dict[str, Any]:
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
