"""What a file answers; after Tahoe's `allmydata.web.filenode`."""

from __future__ import annotations

from collections.abc import Callable
from mimetypes import guess_type
from os.path import splitext

from txtahoe.caps import Cap
from txtahoe.testing.fake.api.calls import Call, delete, put_cap, put_new_file
from txtahoe.testing.fake.api.checks import check
from txtahoe.testing.fake.http.question import Answer, as_json, plain, say
from txtahoe.testing.fake.http.refusals import Refused, existing_child
from txtahoe.testing.fake.objects.nodes import current_size, describe_file

_FIXED = ("", "json", "uri", "readonly-uri")
# As in `twisted.web.static`, whose import changes the global table of `mimetypes`, and warns.
_ENCODINGS = {".gz": "gzip", ".bz2": "bzip2"}


def get(call: Call) -> Answer:
    """The contents, or with `t` something about the file; 304 for who has it already."""
    operation, cap = call.question.operation, call.target.known
    if operation not in _FIXED:
        raise Refused(400, f"GET file: bad t={operation}")
    tag = etag(cap, operation)
    if tag and call.question.headers.get("if-none-match") == tag:
        return Answer(304, b"", {"ETag": tag}, chunked=True)
    return tagged(_ABOUT[operation](call), tag)


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


METHODS = {"GET": get, "HEAD": head, "PUT": put, "POST": post, "DELETE": delete}


def etag(cap: Cap, operation: str) -> str:
    """The ETag of an immutable object that has shares; empty for others. It is unquoted."""
    if cap.is_mutable or cap.storage_index is None:
        return ""
    return f"{'DIR:' if cap.is_directory else ''}{cap.storage_index}-{operation}"


def tagged(answer: Answer, tag: str) -> Answer:
    """The answer with its ETag, where there is one."""
    if not tag:
        return answer
    return Answer(answer.status, answer.body, {**answer.headers, "ETag": tag}, answer.chunked)


def _json(call: Call) -> Answer:
    cap = call.target.known
    told = describe_file(cap, current_size(call.store, cap)) | call.target.uris()
    if call.parent:
        told["metadata"] = call.parent.child(call.name).metadata
    return plain(as_json(["filenode", told]))


def _overwrite(call: Call, offset: int | None) -> Answer:
    cap, body = call.target.known, call.question.body
    if not cap.is_writable:
        raise Refused(400, "PUT to a mutable file: replace or update requested with read-only cap")
    if offset is not None and offset < 0:
        raise Refused(400, "PUT to a mutable file: Invalid offset")
    old = call.store.read(cap)
    kept, rest = (b"", b"") if offset is None else (old[:offset], old[offset + len(body) :])
    call.store.write(cap, kept + body + rest)
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


_ABOUT: dict[str, Callable[[Call], Answer]] = {
    "": _contents,
    "json": _json,
    "uri": lambda call: plain(call.target.uri),
    "readonly-uri": lambda call: plain(call.target.ro_uri or ""),
}


def _typed(call: Call) -> dict[str, str]:
    question = call.question
    filename = question.argument("filename", call.name or "unknown")
    extension = splitext(filename)[1].lower()
    encoding = _ENCODINGS.get(extension)
    # Tahoe does not find the extension before ".gz".
    type_ = None if encoding else guess_type(f"x{extension}")[0]
    headers = {"Content-Type": type_ or "text/plain", "Accept-Ranges": "bytes"}
    if encoding:
        headers["Content-Encoding"] = encoding
    if question.flag("save"):
        headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    return headers


def _range(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte of the first range; None for a header that means nothing."""
    unit, _, ranges = header.partition("=")
    if unit != "bytes":
        return None
    try:
        first, *_ = [_bounds(text.strip(), size) for text in ranges.split(",")]
    except ValueError:
        return None
    return first


def _bounds(text: str, size: int) -> tuple[int, int]:
    first, last = text.split("-", 1)
    bounds = (
        (int(first), int(last) if last else size - 1) if first else (size - int(last), size - 1)
    )
    if bounds[1] < bounds[0]:
        raise ValueError("the range ends before it begins")
    return bounds
