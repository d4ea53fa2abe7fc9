"""The results of checks; after `allmydata.immutable.checker` and `allmydata.mutable.checker`."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from txtahoe.caps import Cap, base32
from txtahoe.testing.fake.api.calls import Call
from txtahoe.testing.fake.http.question import Answer, Question, as_json, say
from txtahoe.testing.fake.http.refusals import Lost
from txtahoe.testing.fake.objects.nodes import Node
from txtahoe.testing.fake.objects.store import NEEDED, TOTAL, Store

# A mutable object without shares does not tell its numbers; Tahoe then says its defaults.
_DEFAULT_NEEDED, _DEFAULT_TOTAL = 3, 10


def check(call: Call) -> Answer:
    """`t=check`. `verify` and `add-lease` change nothing: no share here is damaged or expires."""
    # Without shares there is nothing to repair, and Tahoe says so in the words of a check.
    repair = wants_repair(call.question) and call.target.storage_index
    found = check_and_repair(call.store, call.target) if repair else result(call.store, call.target)
    if call.question.argument("output", "html").lower() != "json":
        return say("<!DOCTYPE html>\n<html><title>Tahoe-LAFS - Check Results</title></html>")
    return say(as_json(found), type_="text/plain")


def wants_repair(question: Question) -> bool:
    """The flag `repair`. Raises: Refused for any flag of a check that is wrong."""
    for flag in ("verify", "add-lease"):
        question.flag(flag)
    return question.flag("repair")


def result(store: Store, node: Node) -> dict[str, Any]:
    """The JSON of a check, as Tahoe's `json_check_results` gives it."""
    if node.cap is None or not node.storage_index:
        return {"storage-index": "", "results": {"healthy": True}}
    good = store.good_shares(node.cap)
    return {
        "storage-index": node.storage_index,
        "summary": _summary(node.cap, len(good)),
        "results": _counts(store, node.cap, good),
    }


def check_and_repair(store: Store, node: Node) -> dict[str, Any]:
    """
    The JSON of a check with repair: an unhealthy object that can be read gets its shares anew.

    Raises: Lost for an immutable object that can't be read; of a mutable one the JSON says so.
    """
    if node.cap is None or not node.storage_index:
        return {"storage-index": "", "repair-attempted": False}
    before = result(store, node)
    # Tahoe cannot repair a mutable object through a read cap: its ticket 625.
    may_repair = node.cap.is_writable or not node.cap.is_mutable
    attempted = successful = may_repair and not before["results"]["healthy"]
    try:
        if attempted:
            store.repair(node.cap)
    except Lost:
        if not node.cap.is_mutable:
            raise
        successful = False
    return {
        "storage-index": node.storage_index,
        "repair-attempted": attempted,
        "repair-successful": successful,
        "pre-repair-results": before,
        "post-repair-results": result(store, node) if successful else before,
    }


def server_id(number: int) -> str:
    """The long name of a server."""
    return f"v0-{base32(sha256(b'%d' % number).digest())}"


def _counts(store: Store, cap: Cap, good: dict[int, int]) -> dict[str, Any]:
    hosts = len(set(good.values()))
    blank = cap.is_mutable and not good
    recoverable = len(good) >= NEEDED
    prefix = ""
    if cap.is_mutable and good:
        prefix = f"seq{store.version(cap)}-{(cap.storage_index or '')[:4]}-sh"
    return {
        "count-happiness": hosts,
        "count-shares-good": len(good),
        "count-shares-needed": _DEFAULT_NEEDED if blank else NEEDED,
        "count-shares-expected": _DEFAULT_TOTAL if blank else TOTAL,
        "count-good-share-hosts": hosts,
        "count-corrupt-shares": 0,
        "list-corrupt-shares": [],
        "servers-responding": [server_id(number) for number in range(store.servers)],
        "sharemap": {f"{prefix}{share}": [server_id(host)] for share, host in good.items()},
        "count-wrong-shares": 0,
        "count-recoverable-versions": int(recoverable),
        "count-unrecoverable-versions": int(not recoverable and not blank),
        "healthy": len(good) == TOTAL,
        "recoverable": recoverable,
    }


def _summary(cap: Cap, good: int) -> str:
    if good == TOTAL:
        return "Healthy"
    if not cap.is_mutable:
        return f"Not Healthy: {good} shares (enc {NEEDED}-of-{TOTAL})"
    if good >= NEEDED:
        return f"Unhealthy: {good} shares (enc {NEEDED}-of-{TOTAL})"
    some = "some versions are unrecoverable " if good else ""
    return f"Unhealthy: {some}no versions are recoverable"
