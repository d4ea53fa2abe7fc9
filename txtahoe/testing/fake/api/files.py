"""The operations on a file; after Tahoe's `allmydata.web.filenode`."""

from __future__ import annotations

from functools import partial
from mimetypes import guess_type
from os.path import splitext

from txtahoe.testing.fake.api import calls
from txtahoe.testing.fake.api.calls import CAPS, Call, Operation, delete, put_cap, put_new_file
from txtahoe.testing.fake.api.checks import check
from txtahoe.testing.fake.http.question import Answer, as_json, plain, say
from txtahoe.testing.fake.http.refusals import Lost, Refused, existing_child
from txtahoe.testing.fake.objects.nodes import describe_file

# As in `twisted.web.static`, whose import changes the global table of `mimetypes`, and warns.
_ENCODINGS = {".gz": "gzip", ".bz2": "bzip2"}


def head(call: Call) -> Answer:
    """The headers of the contents. An ETag is not among them."""
    if call.question.operation:
        raise Refused(400, f"HEAD file: bad t={call.question.operation.encode()!r}")
    return _contents(call)


def put(call: Call) -> Answer:
    """Replace the file in its directory, or the contents of a mutable one in place."""
    question, cap = call.question, call.target.known
    replace = question.replace()
    offset = int(question.arguments["offset"].encode()) if "offset" in question.arguments else None
    if not replace:
        raise existing_child()
    if question.operation == "uri":
        return put_cap(call)
    if question.operation:
        raise Refused(400, f"PUT to a file: bad t={question.operation}")
    if cap.is_mutable:
        return _overwrite(call, offset)
    if offset is not None:
        raise Refused(400, "PUT to a file: append operation invoked on an immutable cap")
    return put_new_file(call)


def post(call: Call) -> Answer:
    """`t=check` is the only operation on a file."""
    if call.question.operation != "check":
        raise Refused(400, f"POST to file: bad t={call.question.operation}")
    return check(call)


def _json(call: Call) -> Answer:
    cap = call.target.known
    try:
        size = len(call.store.read(cap)) if cap.size is None else cap.size
    except Lost:
        size = None
    told = describe_file(cap, size)
    return plain(as_json(["filenode", {**told, **call.target.uris(), **call.metadata()}]))


def _overwrite(call: Call, offset: int | None) -> Answer:
    cap, body = call.target.known, call.question.body
    if not cap.is_writable:
        raise Refused(400, "PUT to a mutable file: replace or update requested with read-only cap")
    if offset is not None and offset < 0:
        raise Refused(400, "PUT to a mutable file: Invalid offset")
    old = call.store.read(cap)
    new = body if offset is None else old[:offset] + body + old[offset + len(body) :]
    call.store.write(cap, new)
    return say(call.target.uri)


def _contents(call: Call) -> Answer:
    question, cap = call.question, call.target.known
    # A HEAD of an immutable file asks no server: the size is in the cap.
    immutable_head = question.method == "HEAD" and cap.size is not None
    data = bytes(cap.size or 0) if immutable_head else call.store.read(cap)
    headers = _typed(call)
    asked = _range(question.headers.get("range", ""), len(data))
    if asked is None:
        return Answer(200, data, headers)
    first, last = asked
    if first >= len(data):
        raise Refused(416, "First beyond end of file")
    first, last = max(0, first), min(len(data) - 1, last)
    headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
    return Answer(206, data[first : last + 1], headers)


def _typed(call: Call) -> dict[str, str]:
    filename = call.question.argument("filename", call.name or "unknown")
    extension = splitext(filename)[1].lower()
    encoding = _ENCODINGS.get(extension)
    # Tahoe does not find the extension before ".gz".
    type_ = None if encoding else guess_type(f"x{extension}")[0]
    headers = {"Content-Type": type_ or "text/plain", "Accept-Ranges": "bytes"}
    if encoding:
        headers["Content-Encoding"] = encoding
    if call.question.flag("save"):
        headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    return headers


def _range(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte of the first range; None for a header that means nothing."""
    unit, _, ranges = header.partition("=")
    try:
        bounds = [_bounds(text.strip(), size) for text in ranges.split(",")]
    except ValueError:
        return None
    return bounds[0] if unit == "bytes" else None


def _bounds(text: str, size: int) -> tuple[int, int]:
    first, last = text.split("-", 1)
    if first:
        bounds = int(first), int(last) if last else size - 1
    else:
        bounds = size - int(last), size - 1
    if bounds[1] < bounds[0]:
        raise ValueError("the range ends before it begins")
    return bounds


_GETS: dict[str, Operation] = {"": _contents, "json": _json, **CAPS}
METHODS: dict[str, Operation] = {
    "GET": partial(calls.get, kind="file", operations=_GETS),
    "HEAD": head,
    "PUT": put,
    "POST": post,
    "DELETE": delete,
}
