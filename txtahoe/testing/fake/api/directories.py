"""What a directory answers; after Tahoe's `allmydata.web.directory`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from txtahoe.testing.fake.api.calls import Call, delete, put_cap
from txtahoe.testing.fake.api.checks import check, wants_repair
from txtahoe.testing.fake.api.files import etag, tagged
from txtahoe.testing.fake.http.question import Answer, as_json, plain, say
from txtahoe.testing.fake.http.refusals import Refused, existing_child
from txtahoe.testing.fake.objects.links import (
    Directory,
    Given,
    Link,
    given_links,
    new_directory,
    new_immutable_directory,
    nfc,
)
from txtahoe.testing.fake.objects.nodes import Node, describe_file, linked_node, node_at
from txtahoe.testing.fake.objects.store import Store
from txtahoe.testing.fake.objects.trees import check_stream, manifest_stream


def get(call: Call) -> Answer:
    """The page of the directory, or with `t` something about it."""
    operation = call.question.operation
    if operation not in _ABOUT:
        raise Refused(400, f"GET directory: bad t={operation}")
    tag = etag(call.target.known, operation)
    if tag and call.question.headers.get("if-none-match") == tag:
        return Answer(304, b"", {"ETag": tag}, chunked=True)
    return tagged(_ABOUT[operation](call), tag)


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
    if operation not in POSTS:
        raise Refused(400, f"POST to a directory with bad t={operation}")
    return POSTS[operation](call)


METHODS = {"GET": get, "HEAD": get, "PUT": put, "POST": post, "DELETE": delete}


def given_children(body: bytes) -> dict[str, Given]:
    """The children that a new directory is to have; none for an empty body."""
    return given_links(body, linked_node) if body else {}


def made_directory(store: Store, operation: str, body: bytes, format_: str | None) -> Node:
    """The new directory of `mkdir`, `mkdir-with-children` or `mkdir-immutable`."""
    children = {} if operation == "mkdir" else given_children(body)
    if operation == "mkdir-immutable":
        return new_immutable_directory(store, children)
    return new_directory(store, children, format_ or "SDMF")


def _page(call: Call) -> Answer:
    """A page of HTML; also of a directory that can't be read, which is why nobody asks for it."""
    cap = call.target.known
    rights = "modifiable" if cap.is_writable else "read-only" if cap.is_mutable else "immutable"
    index = (cap.storage_index or "")[:5] or "&lt;LIT&gt;"
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
    told: dict[str, Any] = {}
    if link.node.cap is not None:
        is_file = link.node.cap.is_file
        told = (
            describe_file(link.node.cap, link.node.cap.size)
            if is_file
            else {"mutable": link.node.cap.is_mutable}
        )
    return link.node.type, {**told, "metadata": link.metadata, **link.node.uris()}


_ABOUT: dict[str, Callable[[Call], Answer]] = {
    "": _page,
    "json": _json,
    "uri": lambda call: plain(call.target.uri),
    "readonly-uri": lambda call: plain(call.target.ro_uri or ""),
}


def _mkdir(call: Call) -> Answer:
    """With `name=` a new directory of that name; without it the path has made it already."""
    question = call.question
    name = question.argument("name", "")
    if not name:
        return say(call.target.uri)
    plain_mkdir = question.operation == "mkdir"
    replace = plain_mkdir and question.flag("replace", "true")
    call.directory.require_writable()
    made = made_directory(call.store, question.operation, question.body, question.mutable_format)
    call.directory.add({name: Given(made)}, replace)
    return say(made.uri)


def _set_children(call: Call) -> Answer:
    replace = call.question.replace()
    given = given_links(call.question.body, linked_node)
    _require_changeable(call.target)
    call.directory.add(given, replace)
    return say("Okay so I did it.")


def _require_changeable(node: Node) -> None:
    # Tahoe does not ask beforehand, and fails where it comes to write.
    if not node.known.is_mutable:
        raise AttributeError("'ImmutableFileNode' object has no attribute 'modify'")
    if not node.known.is_writable:
        raise AssertionError


def _link(call: Call) -> Answer:
    uri, name = call.question.argument("uri", ""), call.question.argument("name", "")
    if not uri or not name:
        raise Refused(400, f"set-uri requires a {'name' if uri else 'uri'}")
    call.directory.add({name: Given(linked_node(uri, None, name))}, call.question.replace())
    return say(uri)


def _unlink(call: Call) -> Answer:
    call.directory.remove(call.question.argument("name", ""))
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
    names = {"from_name": question.argument("from_name", "").strip()}
    names["to_name"] = question.argument("to_name", names["from_name"]).strip()
    for argument, name in names.items():
        if "/" in name:
            raise Refused(400, f"{argument}= may not contain a slash")
    target = _target_directory(call)
    _move(call, names["from_name"], target, names["to_name"], replace)
    return say("thing moved")


def _target_directory(call: Call) -> Node:
    path = call.question.argument("to_dir", call.target.uri).strip().split("/")
    node = node_at(path[0])
    for name in path[1:]:
        node = Directory(call.store, node.known).child(name).node
    if node.type != "dirnode":
        raise Refused(400, "to_dir is not a directory")
    return node


def _move(call: Call, old: str, target: Node, new: str, replace: bool | str) -> None:
    to = Directory(call.store, target.known)
    call.directory.require_writable()
    to.require_writable()
    if target.uri == call.target.uri and nfc(old) == nfc(new):
        return
    link = call.directory.child(old)
    to.add({new: Given(link.node, link.metadata)}, replace)
    call.directory.remove(old)


def _stream_manifest(call: Call) -> Answer:
    return say(manifest_stream(call.store, call.target).decode())


def _stream_check(call: Call) -> Answer:
    repair = wants_repair(call.question)
    return say(check_stream(call.store, call.target, repair).decode())


POSTS = {
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
    "stream-manifest": _stream_manifest,
    "stream-deep-check": _stream_check,
}
