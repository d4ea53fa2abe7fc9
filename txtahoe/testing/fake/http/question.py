"""A request as the gateway reads it, and the answer to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from attrs import Factory, field, frozen
from twisted.web.http import parse_qs
from twisted.web.server import Request

from txtahoe.testing.fake.http.refusals import Refused

_TRUE, _FALSE = ("true", "t", "1", "on"), ("false", "f", "0", "off")
_FORMATS = ("CHK", "SDMF", "MDMF")
_BELOW_A_CAP = ("uri", "cap", "named", "file")


@frozen
class Question:
    """
    A request.

    `path`: the segments of the URL, without percent signs. `arguments`: the first of each name,
    from the URL or else from an urlencoded body, as Tahoe's `allmydata.web.common.get_arg`.
    `host`: the URL up to the path. `url`: the rest of it, as it was sent.
    """

    method: str
    path: tuple[bytes, ...]
    arguments: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    host: str = ""
    url: str = field(default="", repr=False)

    @classmethod
    def of(cls, request: Request) -> Question:
        """The question that a request of twisted.web asks."""
        assert request.content is not None
        body = request.content.read()
        headers = {
            name.decode().lower(): values[0].decode("utf-8", "replace")
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        secure = "s" if request.isSecure() else ""
        return cls(
            request.method.decode(),
            tuple(request.postpath or ()),
            {**_form(headers, body), **_query(request.uri)},
            headers,
            body,
            f"http{secure}://{headers.get('host', '')}",
            request.uri.decode("ascii", "replace"),
        )

    @property
    def operation(self) -> str:
        """The argument `t`; empty where there is none."""
        return self.argument("t", "").strip()

    @property
    def label(self) -> str:
        """What is asked, without caps and names: "GET /uri/CAP/NAME?t=json"."""
        segments = [segment.decode("utf-8", "replace") for segment in self.path]
        if segments[:1] == ["operations"]:
            segments[1:] = ["HANDLE"]
        if segments and segments[0] in _BELOW_A_CAP:
            segments[1:2] = ["CAP"] * len(segments[1:2])
            segments[2:] = ["NAME"] * len(segments[2:])
        query = f"?t={self.operation}" if self.operation else ""
        return f"{self.method} /{'/'.join(segments)}{query}"

    def argument(self, name: str, default: str) -> str:
        return self.arguments.get(name, default)

    def flag(self, name: str, default: str = "false") -> bool:
        """A boolean argument. Raises: Refused."""
        given = self.argument(name, default)
        if given.lower() not in _TRUE + _FALSE:
            raise Refused(400, f"invalid boolean argument: {given.encode()!r}")
        return given.lower() in _TRUE

    def replace(self) -> bool | str:
        """The argument `replace`: True, False or "only-files". Raises: Refused."""
        given = self.argument("replace", "true")
        if given.lower() == "only-files":
            return "only-files"
        try:
            return self.flag("replace", "true")
        except Refused:
            raise Refused(400, f"invalid replace= argument: {given!r}") from None

    def format(self) -> str | None:
        """The argument `format`: "CHK", "SDMF" or "MDMF"; None without it. Raises: Refused."""
        given = self.argument("format", "")
        if given and given.upper() not in _FORMATS:
            raise Refused(400, f"Unknown format: {given}, I know CHK, SDMF, MDMF")
        return given.upper() or None

    @property
    def mutable_format(self) -> str | None:
        """As `format`; None also for "CHK", which is not mutable."""
        format_ = self.format()
        return None if format_ == "CHK" else format_


@frozen
class Answer:
    """An answer; without `chunked` it says its length beforehand."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = Factory(dict)
    chunked: bool = False


def say(text: str, status: int = 200, type_: str = "text/html") -> Answer:
    """What Tahoe writes and finishes, without a length; such as the cap of an upload."""
    return Answer(status, text.encode(), {"Content-Type": type_}, chunked=True)


def plain(text: str, status: int = 200, type_: str = "text/plain") -> Answer:
    """Text of a known length."""
    return Answer(status, text.encode(), {"Content-Type": type_})


def as_json(value: Any) -> str:
    return json.dumps(value, indent=1) + "\n"


def refusal(error: Refused) -> Answer:
    """The answer where an operation was refused."""
    return plain(error.text, error.status, "text/plain;charset=utf-8")


def page(status: int, title: str, text: str) -> Answer:
    """The page of twisted.web for an error that was met on the way to the object."""
    return plain(
        f"\n<html>\n  <head><title>{status} - {title}</title></head>\n  <body>\n"
        f"    <h1>{title}</h1>\n    <p>{text}</p>\n  </body>\n</html>\n",
        status,
        "text/html; charset=utf-8",
    )


def redirect(url: str, *, chunked: bool = False) -> Answer:
    """To another place of the same gateway."""
    body = f'<html><body><a href="{url}">click here</a></body></html>'
    headers = {"Content-Type": "text/html; charset=utf-8", "Location": url}
    return Answer(302, body.encode(), headers, chunked)


def unknown_method(question: Question) -> Answer:
    return page(501, "Huh?", f"I don't know how to treat a {question.method} request.")


def _query(url: bytes) -> dict[str, str]:
    given = parse_qs(url.partition(b"?")[2], 1)
    return {
        name.decode("utf-8", "replace"): values[0].decode("utf-8", "replace")
        for name, values in given.items()
    }


def _form(headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    type_ = headers.get("content-type", "").partition(";")[0]
    if type_ != "application/x-www-form-urlencoded":
        return {}
    return dict(reversed(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)))
