"""From a question to its answer: the places of the web API, and the walk along a path."""

from __future__ import annotations

import json
import time
from urllib.parse import quote

from txtahoe.caps import BadCap, Cap
from txtahoe.testing.fake.api import directories, files
from txtahoe.testing.fake.api.calls import Call, put_on_nothing, upload
from txtahoe.testing.fake.api.checks import server_id
from txtahoe.testing.fake.api.operations import STARTED, Operations
from txtahoe.testing.fake.failures import failure_page
from txtahoe.testing.fake.http.question import (
    Answer,
    Question,
    as_json,
    page,
    plain,
    redirect,
    refusal,
    say,
    unknown_method,
)
from txtahoe.testing.fake.http.refusals import Refused, Unanswered, no_such_child
from txtahoe.testing.fake.objects.links import Directory, Given, nfc
from txtahoe.testing.fake.objects.nodes import Node, node_at
from txtahoe.testing.fake.objects.store import Store

_MKDIRS = ("mkdir", "mkdir-with-children", "mkdir-immutable")
_MAKES_NO_PARENTS = ("delete", "rename", "check")
_UNLINKED = "/uri accepts only PUT, PUT?t=mkdir, POST?t=upload, and POST?t=mkdir"
_NO_RESOURCE = ("No Such Resource", "Sorry. No luck finding that resource.")


class _Page(Exception):
    """The answer to a question that does not get as far as an object."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Surface:
    """The web API over a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._operations = Operations(store)
        self._started = time.monotonic()
        self._places = {
            "": self._welcome,
            "uri": self._uri,
            "cap": self._uri,
            "named": self._named,
            "file": self._named,
            "operations": self._operation,
            "statistics": self._statistics,
            "status": self._status,
        }

    def answer(self, question: Question) -> Answer:
        """Raises: Unanswered where Tahoe gives no answer at all."""
        place = self._places.get(question.path[0].decode("utf-8", "replace"))
        if place is None:
            return page(404, *_NO_RESOURCE)
        try:
            return place(question)
        except _Page as error:
            return error.answer
        except Refused as error:
            return refusal(error)
        except Unanswered:
            raise
        # What goes wrong in Tahoe's own code is a page of the exception, whichever it is.
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
        if call.node.type == "dirnode" and question.operation in STARTED:
            return self._operations.start(call)
        methods = {"dirnode": directories.METHODS, "filenode": files.METHODS}
        method = methods.get(call.node.type, {"GET": _get_unknown}).get(question.method)
        return method(call) if method else unknown_method(question)

    def _unlinked(self, question: Question) -> Answer:
        operation = question.operation
        if (question.method, operation) == ("PUT", ""):
            return say(str(upload(self._store, question)))
        if question.method in ("GET", "HEAD"):
            return _to_its_url(question)
        if question.method not in ("PUT", "POST"):
            return unknown_method(question)
        if operation not in (_MKDIRS if question.method == "POST" else _MKDIRS[:1]):
            raise Refused(400, _UNLINKED)
        return self._unlinked_directory(question)

    def _unlinked_directory(self, question: Question) -> Answer:
        is_plain = question.operation == "mkdir"
        if is_plain and question.method == "POST" and question.body and not _is_form(question):
            raise Refused(
                400, "t=mkdir does not accept children=, try t=mkdir-with-children instead"
            )
        if is_plain and question.format() == "CHK":
            currently = "currently " if question.method == "POST" else ""
            raise Refused(
                400, f"format=CHK not {currently}accepted for {question.method} /uri?t=mkdir"
            )
        # Of children given at once Tahoe makes an SDMF directory, whatever format= says.
        format_ = question.mutable_format if is_plain else None
        made = directories.made_directory(self._store, question.operation, question.body, format_)
        return say(made.uri)

    def _arrive(self, question: Question) -> Call:
        """Walk along the path. Errors on the way are pages of HTML, or leave no answer."""
        try:
            return self._walk(question)
        except (Unanswered, _Page):
            raise
        except Refused as error:
            raise _Page(page(error.status, "Error", error.text)) from error
        except Exception as error:
            raise Unanswered from error

    def _walk(self, question: Question) -> Call:
        segments = [segment.decode() for segment in question.path[1:]]
        call = Call(question, self._store, node_at(segments[0]))
        names = segments[1:]
        if "" in names[:-1]:
            raise Refused(
                400, "The webapi does not allow empty pathname components, i.e. a double slash"
            )
        for number, name in enumerate(names, 1):
            call = self._step(call, name, is_last=number == len(names))
        return call

    def _step(self, call: Call, name: str, *, is_last: bool) -> Call:
        if call.target.type == "unknown":
            raise _Page(page(404, *_NO_RESOURCE))
        if call.target.type == "filenode":
            raise _Page(_below_a_file(call.question, name))
        if not name:  # a directory, with a slash behind it
            return call
        parent = call.directory
        try:
            node = parent.child(name).node
        except Refused as error:
            if error.status != 404:
                raise
            return self._missing(call, parent, name, is_last)
        if not is_last and _makes_parents(call.question) and node.type != "dirnode":
            raise _Page(
                page(
                    409,
                    f"Unable to create directory '{name}': a file was in the way",
                    "no details",
                )
            )
        return Call(call.question, self._store, node, parent, name)

    def _missing(self, call: Call, parent: Directory, name: str, is_last: bool) -> Call:
        """Where the path has nothing: make what a PUT or POST needs there."""
        question = call.question
        if is_last and question.operation in _MKDIRS and question.method in ("POST", "PUT"):
            node = self._made(parent, name, question)
        elif is_last and question.method == "PUT" and question.operation in ("", "uri"):
            return Call(question, self._store, None, parent, name)
        elif not is_last and _makes_parents(question):
            node = self._made(parent, name, None)
        else:
            raise no_such_child(nfc(name))
        return Call(question, self._store, node, parent, name)

    def _made(self, parent: Directory, name: str, question: Question | None) -> Node:
        parent.require_writable()
        operation, body = (question.operation, question.body) if question else ("mkdir", b"")
        format_ = question.mutable_format if question else None
        made = directories.made_directory(self._store, operation, body, format_)
        parent.add({name: Given(made)}, replace=True)
        return made

    def _named(self, question: Question) -> Answer:
        if not question.path[1:]:
            raise Refused(404, "/file must be followed by a file-cap and a name")
        if question.method not in ("GET", "HEAD"):
            raise _Page(page(400, "Error", "/file can only be used with GET or HEAD"))
        node = node_at(question.path[1].decode())
        if node.type != "filenode":
            raise _Page(page(400, "Error", f"{question.path[1]!r} is not a file-cap"))
        name = question.path[-1].decode() if question.path[2:] else ""
        call = Call(question, self._store, node, None, name)
        return files.METHODS[question.method](call)

    def _operation(self, question: Question) -> Answer:
        return self._operations.answer(question, question.path[-1].decode())

    def _welcome(self, question: Question) -> Answer:
        if question.operation != "json":
            return say("<!DOCTYPE html>\n<html><title>Tahoe-LAFS - Welcome</title></html>")
        told = {
            "introducers": {"statuses": []},
            "servers": [self._server(number) for number in range(self._store.known_servers)],
        }
        return say(as_json(told), type_="application/json; charset=utf-8")

    def _server(self, number: int) -> dict[str, object]:
        is_connected = number < self._store.servers
        return {
            "nodeid": server_id(number),
            "connection_status": "connected" if is_connected else "not connected",
            "available_space": 10**12 if is_connected else None,
            "nickname": f"server-{number + 1}",
            "version": "tahoe-lafs/1.20.0" if is_connected else None,
            "last_received_data": self._store.now() if is_connected else None,
        }

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
    if not _is_cap(text):
        raise Refused(400, "Invalid capability")
    query = "&".join(f"{name}={value}" for name, value in others.items())
    place = f"{question.host}/{question.path[0].decode()}/{quote(text, safe='')}"
    return redirect(f"{place}?{query}" if query else place, chunked=True)


def _is_cap(text: str) -> bool:
    try:
        return Cap.parse(text).is_known and text == text.strip()
    except BadCap:
        return False


def _get_unknown(call: Call) -> Answer:
    operation = call.question.operation
    if operation != "json":
        raise Refused(
            400,
            f"GET unknown URI type: can only do t=info and t=json, not t={operation}.\n"
            "Using a webapi server that supports a later version of Tahoe may help.",
        )
    told: dict[str, object] = dict(call.target.uris())
    if call.parent:
        told["metadata"] = call.parent.child(call.name).metadata
    return plain(as_json(["unknown", told]))


def _below_a_file(question: Question, name: str) -> Answer:
    if _makes_parents(question):
        return page(
            409,
            f"Cannot create directory '{name}', because its parent is a file, not a directory",
            "no details",
        )
    return page(400, f"Files have no children named '{name}'", "no details")


def _makes_parents(question: Question) -> bool:
    return question.method in ("PUT", "POST") and question.operation not in _MAKES_NO_PARENTS


def _is_form(question: Question) -> bool:
    return question.headers.get("content-type", "").startswith("multipart/form-data")
