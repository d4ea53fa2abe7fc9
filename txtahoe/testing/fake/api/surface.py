"""From a question to its answer: the places of the web API, and the walk along a path."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from urllib.parse import quote

from txtahoe.caps import BadCap, Cap
from txtahoe.testing.fake.api import directories, files
from txtahoe.testing.fake.api.calls import Call, put_on_nothing, upload
from txtahoe.testing.fake.api.checks import server_id
from txtahoe.testing.fake.http import refusals
from txtahoe.testing.fake.http.question import (
    Answer,
    Question,
    as_json,
    failure_page,
    plain,
    redirect,
    refusal,
    say,
)
from txtahoe.testing.fake.http.refusals import Refused, Unanswered
from txtahoe.testing.fake.objects.links import Directory, Link, new_directory, nfc
from txtahoe.testing.fake.objects.nodes import node_at
from txtahoe.testing.fake.objects.store import Store

_MKDIRS = ("mkdir", "mkdir-with-children", "mkdir-immutable")
_MAKES_NO_PARENTS = ("delete", "rename", "check")
_RELEASE = "tahoe-lafs/1.20.0"
_WELCOME = (
    "<!DOCTYPE html>\n<html><title>Tahoe-LAFS - Welcome</title>"
    f'<p class="minutia">{_RELEASE}</p></html>'
)
_UNLINKED = "/uri accepts only PUT, PUT?t=mkdir, POST?t=upload, and POST?t=mkdir"


class Surface:
    """The web API over a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._started = time.monotonic()
        self._places: dict[str, Callable[[Question], Answer]] = {
            "": self._welcome,
            "uri": self._uri,
            "cap": self._uri,
            "named": self._named,
            "file": self._named,
            "statistics": self._statistics,
            "status": self._status,
        }

    def answer(self, question: Question) -> Answer:
        """Raises: Unanswered where Tahoe gives no answer at all."""
        try:
            place = self._places.get(question.path[0].decode("utf-8", "replace"))
            if place is None:
                raise refusals.no_such_resource()
            return place(question)
        except Refused as error:
            return refusal(error)
        except Unanswered:
            raise
        # Tahoe answers any exception of its own code with a page of it.
        except Exception as error:
            return failure_page(question, error)

    def _uri(self, question: Question) -> Answer:
        if not question.path[1:]:
            return self._unlinked(question)
        if question.path[1:] == (b"",):
            path, mark, query = question.url.partition("?")
            return redirect(path.rstrip("/") + mark + query)
        call = self._arrive(question)
        if call.node is None:
            return put_on_nothing(call)
        methods = {"dirnode": directories.METHODS, "filenode": files.METHODS}
        method = methods.get(call.node.type, {"GET": _get_unknown}).get(question.method)
        if method is None:
            raise refusals.unknown_method(question.method)
        return method(call)

    def _unlinked(self, question: Question) -> Answer:
        method, operation = question.method, question.operation
        if (method, operation) == ("PUT", ""):
            return say(str(upload(self._store, question)))
        if method in ("GET", "HEAD"):
            return _to_its_url(question)
        if method not in ("PUT", "POST"):
            raise refusals.unknown_method(method)
        if operation not in (_MKDIRS if method == "POST" else _MKDIRS[:1]):
            raise Refused(400, _UNLINKED)
        is_plain = operation == "mkdir"
        if is_plain and method == "POST" and question.body:
            text = "t=mkdir does not accept children=, try t=mkdir-with-children instead"
            raise Refused(400, text)
        if is_plain and question.argument("format").upper() == "CHK":
            currently = "currently " if method == "POST" else ""
            raise Refused(400, f"format=CHK not {currently}accepted for {method} /uri?t=mkdir")
        # Of children given at once Tahoe makes an SDMF directory, whatever format= says.
        format_ = question.mutable_format if is_plain else None
        return say(directories.made_directory(self._store, question, format_).uri)

    def _arrive(self, question: Question) -> Call:
        """Walk along the path. Errors on the way are pages of HTML, or leave no answer."""
        try:
            first, *names = [segment.decode() for segment in question.path[1:]]
            call = Call(question, self._store, node_at(first))
            if "" in names[:-1]:
                text = "The webapi does not allow empty pathname components, i.e. a double slash"
                raise Refused(400, text)
            for number, name in enumerate(names, 1):
                call = self._step(call, name, is_last=number == len(names))
            return call
        except Refused as error:
            raise Refused(error.status, error.text, error.title or "Error") from error
        except Exception as error:
            raise Unanswered from error

    def _step(self, call: Call, name: str, *, is_last: bool) -> Call:
        makes_parents = _makes_parents(call.question)
        if call.target.type == "unknown":
            raise refusals.no_such_resource()
        if call.target.type == "filenode" and makes_parents:
            why = f"Cannot create directory '{name}', because its parent is a file, not a directory"
            raise Refused(409, "no details", why)
        if call.target.type == "filenode":
            raise Refused(400, "no details", f"Files have no children named '{name}'")
        if not name:  # a directory, with a slash behind it
            return call
        parent = call.directory
        try:
            node = parent.child(name).node
        except Refused as error:
            if error.status != 404:
                raise
            return self._missing(call.question, parent, name, is_last)
        if not is_last and makes_parents and node.type != "dirnode":
            why = f"Unable to create directory '{name}': a file was in the way"
            raise Refused(409, "no details", why)
        return Call(call.question, self._store, node, parent, name)

    def _missing(self, question: Question, parent: Directory, name: str, is_last: bool) -> Call:
        """Where the path has nothing: make what a PUT or POST needs there."""
        method, operation = question.method, question.operation
        is_mkdir = is_last and operation in _MKDIRS and method in ("POST", "PUT")
        if is_last and method == "PUT" and operation in ("", "uri"):
            return Call(question, self._store, None, parent, name)
        if not is_mkdir and (is_last or not _makes_parents(question)):
            raise refusals.no_such_child(nfc(name))
        parent.require_writable()
        if is_mkdir:
            node = directories.made_directory(self._store, question, question.mutable_format)
        else:
            node = new_directory(self._store, {})
        parent.add({name: Link(node)}, replace=True)
        return Call(question, self._store, node, parent, name)

    def _named(self, question: Question) -> Answer:
        if not question.path[1:]:
            raise Refused(404, "/file must be followed by a file-cap and a name")
        if question.method not in ("GET", "HEAD"):
            raise Refused(400, "/file can only be used with GET or HEAD", "Error")
        node = node_at(question.path[1].decode())
        if node.type != "filenode":
            raise Refused(400, f"{question.path[1]!r} is not a file-cap", "Error")
        name = question.path[-1].decode() if question.path[2:] else ""
        return files.METHODS[question.method](Call(question, self._store, node, None, name))

    def _welcome(self, question: Question) -> Answer:
        if question.operation != "json":
            return say(_WELCOME)
        up = {
            "connection_status": "connected",
            "available_space": 10**12,
            "version": _RELEASE,
            "last_received_data": time.time(),
        }
        down = {**dict.fromkeys(up), "connection_status": "not connected"}
        servers = [
            {
                "nodeid": server_id(number),
                "nickname": f"server-{number + 1}",
                **(up if number < self._store.servers else down),
            }
            for number in range(self._store.known_servers)
        ]
        told = {"introducers": {"statuses": []}, "servers": servers}
        return say(as_json(told), type_="application/json; charset=utf-8")

    def _statistics(self, question: Question) -> Answer:
        counters = {"uploader.files_uploaded": self._store.uploads}
        stats = {"node.uptime": time.monotonic() - self._started}
        return say(as_json({"counters": counters, "stats": stats}), type_="text/plain")

    def _status(self, question: Question) -> Answer:
        return say(json.dumps({"active": [], "recent": []}), type_="application/json")


def _to_its_url(question: Question) -> Answer:
    """`GET /uri?uri=CAP`: the other arguments go along, and are not quoted."""
    if "uri" not in question.arguments:
        raise Refused(400, "GET /uri requires uri=")
    others = dict(question.arguments)
    text = others.pop("uri")
    try:
        is_cap = Cap.parse(text).is_known and text == text.strip()
    except BadCap:
        is_cap = False
    if not is_cap:
        raise Refused(400, "Invalid capability")
    query = "&".join(f"{name}={value}" for name, value in others.items())
    place = f"{question.host}/{question.path[0].decode()}/{quote(text, safe='')}"
    return redirect(f"{place}?{query}" if query else place, chunked=True)


def _get_unknown(call: Call) -> Answer:
    if call.question.operation != "json":
        raise Refused(
            400,
            "GET unknown URI type: can only do t=info and t=json, "
            f"not t={call.question.operation}.\n"
            "Using a webapi server that supports a later version of Tahoe may help.",
        )
    return plain(as_json(["unknown", {**call.target.uris(), **call.metadata()}]))


def _makes_parents(question: Question) -> bool:
    return question.method in ("PUT", "POST") and question.operation not in _MAKES_NO_PARENTS
