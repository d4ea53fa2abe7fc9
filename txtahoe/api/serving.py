"""Files as answers to requests of twisted.web, and of Klein, which is built on it."""

from __future__ import annotations

import re
from logging import getLogger
from mimetypes import guess_type
from os.path import splitext
from typing import cast
from urllib.parse import quote

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import ITCPTransport
from twisted.python.failure import Failure
from twisted.web.http import Request

from txtahoe.api.download import Download
from txtahoe.api.ranges import Unsatisfiable, byte_range

logger = getLogger("txtahoe")

# A browser shows these types and cannot run them. Another type would let anyone who saves a file
# run scripts with the rights of the site: as a page, or by <script src>, which no
# Content-Disposition prevents.
_SHOWN = re.compile(r"(?!.*xml)(image|audio|video)/.+|text/plain|application/pdf")
_TAGS = re.compile(r'(?:W/)?("[^"]*")')


async def serve(request: Request, download: Download, name: str = "") -> None:
    """
    Answer a GET or HEAD request with a file, or with the range that it asks for, and finish it.

    `download`: the whole file, as `Client.download` gives it for this request; closed at the end.
    `name`: of the file; it tells the type, and browsers save the file under it.

    Images, audio, video, PDF and plain text have their type. Everything else could be a page or a
    script: it is an attachment of the type application/octet-stream. An immutable file has an ETag,
    which is a fingerprint of its cap.

    It sends nothing before the first bytes have come, so the caller can still answer an error then.
    A later error aborts the connection, so that no client takes a part for the whole; `serve` logs
    that error and does not raise it. If the client goes away, `serve` ends the download and raises
    nothing.

    Raises: as `Download.read`, before it sends anything; ValueError if the caller has read some of
    the download.
    """
    if _is_over(request):
        return
    answering = Deferred.fromCoroutine(_answer(request, download, name))
    request.notifyFinish().addBoth(lambda _: answering.cancel())
    try:
        async with download:
            await answering
    except Exception as error:  # CancelledError, too: the caller wants no more
        if _is_over(request):
            return
        if not request.startedWriting:
            raise
        reason = str(error) or type(error).__name__
        logger.error("serving %r broke off after its beginning: %s", download.cap, reason)
        # With HTTP/2 the channel is a stream, and can be aborted itself.
        cast(ITCPTransport, request.transport or request.channel).abortConnection()
        # Klein would finish the request in this turn.
        request.connectionLost(Failure(ConnectionAborted()))
    else:
        request.finish()


def _is_over(request: Request) -> bool:
    """Whether the request is finished, or the client has gone."""
    return getattr(request, "channel", None) is None


async def _answer(request: Request, download: Download, name: str) -> None:
    status, headers = _head(request, download, name)
    has_body = request.method != b"HEAD" and status in (200, 206)
    first = await download.read() if has_body else b""
    request.setResponseCode(status)
    for header, value in headers.items():
        request.setHeader(header, value)
    request.write(first)
    if has_body:
        await download.write_to(request)


def _head(request: Request, download: Download, name: str) -> tuple[int, dict[str, str]]:
    """The status and the headers. It narrows the download to the range that the request names."""
    size, cap = download.left, download.cap
    etag = None if cap.is_mutable else f'"{cap.fingerprint}"'
    headers = {"Accept-Ranges": "bytes"} | ({} if etag is None else {"ETag": etag})
    if etag in _TAGS.findall(request.getHeader("If-None-Match") or ""):
        return 304, headers
    asked = request.getHeader("Range") if request.method == b"GET" else None
    try:
        # If-Range names the version of which a part is wanted.
        is_current = (request.getHeader("If-Range") or etag) == etag
        part = byte_range(asked or "", size) if is_current else None
    except Unsatisfiable:
        return 416, headers | {"Content-Range": f"bytes */{size}", "Content-Length": "0"}
    download.narrow(*(part or (0, size)))
    if part is not None:
        headers["Content-Range"] = f"bytes {part[0]}-{part[1] - 1}/{size}"
    headers["Content-Length"] = str(download.left)
    return 206 if part else 200, headers | _description(name)


def _description(name: str) -> dict[str, str]:
    file_name = name.rpartition("/")[2]
    # Only the end of the name counts: `guess_type` takes "data:image/png,…" for a URL.
    kind, encoding = guess_type(f"x{splitext(file_name)[1]}")
    is_shown = kind is not None and encoding is None and _SHOWN.fullmatch(kind)
    disposition = "inline" if is_shown else "attachment"
    if file_name:
        disposition += f"; filename*=UTF-8''{quote(file_name, safe='', errors='replace')}"
    return {
        "Content-Type": kind if is_shown and kind else "application/octet-stream",
        "Content-Disposition": disposition,
        "X-Content-Type-Options": "nosniff",
    }
