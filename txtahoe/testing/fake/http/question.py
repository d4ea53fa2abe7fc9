"""A request as the gateway reads it, and the answer to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import Factory, field, frozen
from twisted.python.failure import Failure
from twisted.web.server import Request

from txtahoe.testing.fake.http.refusals import Failed, Refused

_FLAGS = {
    **dict.fromkeys(("true", "t", "1", "on"), True),
    **dict.fromkeys(("false", "f", "0", "off"), False),
}
_MUTABLE_FORMATS = ("SDMF", "MDMF")
_BELOW_A_CAP = ("uri", "cap", "named", "file")


@frozen
class Question:
    """
    A request.

    `path`: the segments of the URL, without percent signs. `arguments`: the first of each name,
    from the URL or an urlencoded body. `host`: the URL up to the path. `url`: the rest of it, as
    it was sent.
    """

    method: str
    path: tuple[bytes, ...] = field(repr=False)
    arguments: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    host: str
    url: str = field(repr=False)

    @classmethod
    def of(cls, request: Request) -> Question:
        """The question that a request of twisted.web asks."""
        assert request.content is not None
        headers = {
            name.decode().lower(): values[0].decode("utf-8", "replace")
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        arguments = {
            name.decode("utf-8", "replace"): values[0].decode("utf-8", "replace")
            for name, values in request.args.items()
        }
        scheme = "https" if request.isSecure() else "http"
        return cls(
            request.method.decode(),
            tuple(request.postpath or ()),
            arguments,
            headers,
            request.content.read(),
            f"{scheme}://{headers.get('host', '')}",
            request.uri.decode("ascii", "replace"),
        )

    @property
    def operation(self) -> str:
        """The argument `t`; empty where there is none."""
        return self.argument("t").strip()

    @property
    def label(self) -> str:
        """The request without caps and names: "GET /uri/CAP/NAME?t=json"."""
        first, *rest = [segment.decode("utf-8", "replace") for segment in self.path] or [""]
        if first in _BELOW_A_CAP:
            rest = [*["CAP"][: len(rest)], *["NAME"] * len(rest[1:])]
        query = f"?t={self.operation}" if self.operation else ""
        return f"{self.method} /{'/'.join([first, *rest])}{query}"

    def argument(self, name: str, default: str = "") -> str:
        return self.arguments.get(name, default)

    def flag(self, name: str, default: str = "false") -> bool:
        """A boolean argument. Raises: Refused."""
        given = self.argument(name, default)
        if given.lower() not in _FLAGS:
            raise Refused(400, f"invalid boolean argument: {given.encode()!r}")
        return _FLAGS[given.lower()]

    def replace(self) -> bool | str:
        """The argument `replace`: True, False or "only-files". Raises: Refused."""
        given = self.argument("replace", "true")
        if given.lower() == "only-files":
            return "only-files"
        if given.lower() not in _FLAGS:
            raise Refused(400, f"invalid replace= argument: {given!r}")
        return _FLAGS[given.lower()]

    @property
    def mutable_format(self) -> str | None:
        """The argument `format` if it is "SDMF" or "MDMF", not "CHK". Raises: Refused."""
        given = self.argument("format").upper()
        if given not in ("", "CHK", *_MUTABLE_FORMATS):
            text = f"Unknown format: {self.argument('format')}, I know CHK, SDMF, MDMF"
            raise Refused(400, text)
        return given if given in _MUTABLE_FORMATS else None


@frozen
class Answer:
    """An answer; without `chunked` it says its length beforehand."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = Factory(dict)
    chunked: bool = False


def say(text: str, status: int = 200, type_: str = "text/html") -> Answer:
    """Text that Tahoe writes without its length, such as the cap of an upload."""
    return Answer(status, text.encode(), {"Content-Type": type_}, chunked=True)


def plain(text: str, status: int = 200, type_: str = "text/plain") -> Answer:
    """Text of a known length."""
    return Answer(status, text.encode(), {"Content-Type": type_})


def as_json(value: Any) -> str:
    return json.dumps(value, indent=1) + "\n"


def redirect(url: str, *, chunked: bool = False) -> Answer:
    """To another place of the same gateway."""
    body = f'<html><body><a href="{url}">click here</a></body></html>'
    headers = {"Content-Type": "text/html; charset=utf-8", "Location": url}
    return Answer(302, body.encode(), headers, chunked)


def refusal(error: Refused) -> Answer:
    """The answer of a refused operation; a page of twisted.web if the refusal has a title."""
    if not error.title:
        return plain(error.text, error.status, "text/plain;charset=utf-8")
    return plain(
        f"\n<html>\n  <head><title>{error.status} - {error.title}</title></head>\n  <body>\n"
        f"    <h1>{error.title}</h1>\n    <p>{error.text}</p>\n  </body>\n</html>\n",
        error.status,
        "text/html; charset=utf-8",
    )


def failure_page(question: Question, error: Exception) -> Answer:
    """
    500 and a traceback: in HTML unless the client accepts plain text only.

    As Tahoe's `allmydata.web.common` renders it.
    """
    accept = question.headers.get("accept", "*/*")
    if any(kind in accept for kind in ("*/*", "text/*", "text/html")):
        class_ = type(error)
        name = f"{class_.__module__}.{class_.__qualname__}"
        if isinstance(error, Failed):  # AttributeError has a 'name' too
            name = error.name
        return say(
            "<!DOCTYPE html>\n<html><head><title>Exception</title></head><body><div>\n"
            f'  <div class="error">\n    <span>{name}</span>: <span>{error}</span>\n'
            "  </div>\n</div></body></html>",
            500,
        )
    text = Failure(error).getTraceback()
    if isinstance(error, Failed):
        text = f"Traceback (most recent call last):\nFailure: {error.name}: {error}\n"
    return plain(text, 500, "text/plain;charset=utf-8")
