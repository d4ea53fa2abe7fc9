"""Streams of whole trees; after Tahoe's `allmydata.web.directory`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from txtahoe.testing.fake.api.calls import Call
from txtahoe.testing.fake.api.checks import check_and_repair, result, wants_repair
from txtahoe.testing.fake.http.question import Answer, say
from txtahoe.testing.fake.http.refusals import Lost
from txtahoe.testing.fake.objects.nodes import Node
from txtahoe.testing.fake.objects.trees import Path, Walk

_TYPES = {"dirnode": "directory", "filenode": "file"}


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
        # Tahoe sends the objects found so far before it, with status 200.
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
