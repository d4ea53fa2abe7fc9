"""The operations on a directory; after Tahoe's `allmydata.web.directory`."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from txtahoe.testing.fake.api import calls
from txtahoe.testing.fake.api.calls import CAPS, Call, Operation, delete, put_cap
from txtahoe.testing.fake.api.checks import check
from txtahoe.testing.fake.api.walks import stream_check, stream_manifest
from txtahoe.testing.fake.http.question import Answer, Question, as_json, plain, say
from txtahoe.testing.fake.http.refusals import Refused, existing_child
from txtahoe.testing.fake.objects.links import (
    Directory,
    Link,
    given_links,
    new_directory,
    new_immutable_directory,
    nfc,
)
from txtahoe.testing.fake.objects.nodes import Node, describe_file, linked_node, node_at
from txtahoe.testing.fake.objects.store import Store


def put(call: Call) -> Answer:
    """`t=uri` replaces the directory in the one above it; data does not."""
    operation, replace = call.question.operation, call.question.replace()
    if operation == "mkdir":
        return plain(call.target.uri)
    if operation != "uri":
        raise Refused(400, "PUT to a directory")
    if not replace:
        raise existing_child()
    return put_cap(call)


def post(call: Call) -> Answer:
    """The operations of `t`."""
    operation = call.question.operation
    if operation not in _POSTS:
        raise Refused(400, f"POST to a directory with bad t={operation}")
    return _POSTS[operation](call)


def made_directory(store: Store, question: Question, format_: str | None) -> Node:
    """The new directory of `mkdir`, `mkdir-with-children` or `mkdir-immutable`."""
    is_plain = question.operation == "mkdir" or not question.body
    children = {} if is_plain else given_links(question.body)
    if question.operation == "mkdir-immutable":
        return new_immutable_directory(store, children)
    return new_directory(store, children, format_ or "SDMF")


def _page(call: Call) -> Answer:
    """A page of HTML; also of a directory that can't be read, which is why nobody asks for it."""
    cap = call.target.known
    rights = "modifiable" if cap.is_writable else "read-only" if cap.is_mutable else "immutable"
    index = call.target.storage_index[:5] or "&lt;LIT&gt;"
    title = f"Tahoe-LAFS - Directory SI={index} ({rights})"
    return say(f"<!DOCTYPE html>\n<html><title>{title}</title></html>")


def _json(call: Call) -> Answer:
    try:
        links = call.directory.links()
    except Refused as error:
        return say(json.dumps({"error": error.text}), error.status)
    told = {
        "children": {name: _described(link) for name, link in links.items()},
        **call.target.uris(),
        "mutable": call.target.known.is_mutable,
    }
    return plain(as_json(["dirnode", told]))


def _described(link: Link) -> tuple[str, dict[str, Any]]:
    cap = link.node.cap
    told: dict[str, Any] = {}
    if cap is not None:
        told = describe_file(cap, cap.size) if cap.is_file else {"mutable": cap.is_mutable}
    return link.node.type, {**told, "metadata": link.metadata, **link.node.uris()}


def _mkdir(call: Call) -> Answer:
    """With `name=` a new directory of that name; without it the path has made it already."""
    question = call.question
    name = question.argument("name")
    if not name:
        return say(call.target.uri)
    replace = question.operation == "mkdir" and question.flag("replace", "true")
    call.directory.require_writable()
    made = made_directory(call.store, question, question.mutable_format)
    call.directory.add({name: Link(made)}, replace)
    return say(made.uri)


def _set_children(call: Call) -> Answer:
    replace = call.question.replace()
    given = given_links(call.question.body)
    # Tahoe does not ask beforehand, and fails where it comes to write.
    cap = call.target.known
    if not cap.is_mutable:
        raise AttributeError("'ImmutableFileNode' object has no attribute 'modify'")
    if not cap.is_writable:
        raise AssertionError
    call.directory.add(given, replace)
    return say("Okay so I did it.")


def _link(call: Call) -> Answer:
    uri, name = call.question.argument("uri"), call.question.argument("name")
    if not uri or not name:
        raise Refused(400, f"set-uri requires a {'name' if uri else 'uri'}")
    call.directory.add({name: Link(linked_node(uri, None, name))}, call.question.replace())
    return say(uri)


def _unlink(call: Call) -> Answer:
    call.directory.remove(call.question.argument("name"))
    return say("thing unlinked")


def _rename(call: Call) -> Answer:
    if "to_dir" in call.question.arguments:
        raise Refused(400, "to_dir= is not valid for rename")
    if "to_name" not in call.question.arguments:
        raise Refused(400, "to_name= is required for rename")
    return _relink(call)


def _relink(call: Call) -> Answer:
    """Link, then unlink. Blanks around the names are dropped."""
    question = call.question
    replace = question.replace()
    if "from_name" not in question.arguments:
        raise Refused(400, "from_name= is required")
    old = question.argument("from_name").strip()
    new = question.argument("to_name", old).strip()
    for argument, name in (("from_name", old), ("to_name", new)):
        if "/" in name:
            raise Refused(400, f"{argument}= may not contain a slash")
    target = _target_directory(call)
    to = Directory(call.store, target.known)
    call.directory.require_writable()
    to.require_writable()
    if (target.uri, nfc(new)) != (call.target.uri, nfc(old)):
        link = call.directory.child(old)
        to.add({new: Link(link.node, link.metadata)}, replace)
        call.directory.remove(old)
    return say("thing moved")


def _target_directory(call: Call) -> Node:
    path = call.question.argument("to_dir", call.target.uri).strip().split("/")
    node = node_at(path[0])
    for name in path[1:]:
        node = Directory(call.store, node.known).child(name).node
    if node.type != "dirnode":
        raise Refused(400, "to_dir is not a directory")
    return node


_GETS: dict[str, Operation] = {"": _page, "json": _json, **CAPS}
_POSTS: dict[str, Operation] = {
    "mkdir": _mkdir,
    "mkdir-with-children": _mkdir,
    "mkdir-immutable": _mkdir,
    "set_children": _set_children,
    "set-children": _set_children,
    "uri": _link,
    "unlink": _unlink,
    "delete": _unlink,
    "rename": _rename,
    "relink": _relink,
    "check": check,
    "stream-manifest": stream_manifest,
    "stream-deep-check": stream_check,
}
_get = partial(calls.get, kind="directory", operations=_GETS)
METHODS: dict[str, Operation] = {
    "GET": _get,
    "HEAD": _get,
    "PUT": put,
    "POST": post,
    "DELETE": delete,
}
