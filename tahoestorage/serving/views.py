"""The view that serves the files of a storage by name, to those who may read them."""

from __future__ import annotations

import logging
import mimetypes
import re
from collections.abc import Awaitable, Callable
from functools import lru_cache
from inspect import isawaitable, iscoroutine
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import DEFAULT_STORAGE_ALIAS
from django.core.exceptions import ImproperlyConfigured, PermissionDenied, SuspiciousFileOperation
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.crypto import salted_hmac
from django.utils.http import content_disposition_header, http_date, parse_http_date_safe
from django.views.decorators.http import require_safe

from tahoestorage import conf
from tahoestorage.contract.fileurls import is_signed
from tahoestorage.reactor.waiting import done
from tahoestorage.serving.streaming import AwaitedStream, Stream
from tahoestorage.storage import TahoeStorage, storage_of
from txtahoe.api.ranges import Unsatisfiable, byte_range
from txtahoe.caps import Cap, redact
from txtahoe.errors import IsADirectory, NoSuchChild, NotADirectory

logger = logging.getLogger("tahoestorage")

Verdict = bool | HttpResponseBase
Permission = Callable[[HttpRequest, str], Verdict | Awaitable[Verdict]]
Header = str | Callable[[HttpRequest, str], str | None] | None
"""A value, or a function of the request and the file's name that gives it; None: as the view."""
DISPOSITIONS = "inline", "attachment"

# Browsers show these types in a sandbox, because they can run scripts.
_ACTIVE = re.compile(r"text/html|text/xml|application/xml|multipart/related|message/rfc822|.*\+xml")
# Browsers show these too, and download all others.
_SHOWN = re.compile(r"(image|audio|video)/.+|application/pdf|text/plain")
# Pages of this site can run or apply files of these types, however the file is disposed. With
# "nosniff" a browser does neither if the type is another one.
_LOADABLE = re.compile(
    r"(application|text)/(x-)?(java|ecma|j|live)script[\d.]*|text/css|application/wasm"
)
_UNKNOWN = "application/octet-stream"
_COMPRESSED = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip",
    "xz": "application/x-xz",
    "br": "application/x-brotli",
    "compress": "application/x-compress",
}
_SANDBOX = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@require_safe
def serve(
    request: HttpRequest,
    name: str,
    storage: str = DEFAULT_STORAGE_ALIAS,
    permission: Permission | None = None,
    cache_control: Header = None,
    content_disposition: Header = None,
) -> HttpResponseBase:
    """
    Serve a file of the storage of an alias, or the part of it that the request asks for.

    `permission`: called with the request and the file's name. The client can read the file only if
    it returns True; a response is sent instead of the file. It can be `async def` if the server is
    asynchronous. With the storage's option `signed_urls`, only URLs from `url()` lead to files.
    `cache_control`: the header of files. `content_disposition`: "inline" or "attachment"; the view
    adds the name of the file.

    Raises: Http404; PermissionDenied; ImproperlyConfigured for an `async def` hook that the server
    cannot await, for another `content_disposition`, and for a header that is no str.
    """
    store = storage_of(storage)
    try:
        name = store.name_served(name)
    except SuspiciousFileOperation:
        raise Http404("No file has such a name.") from None
    seconds = conf.signed_urls(store.options)
    download = request.GET.get("download")
    # Else a link could give a file of this site any name, such as that of a program.
    is_to_be_signed = seconds is not None or download is not None
    if is_to_be_signed and not is_signed(storage, store.seal, name, request.GET, seconds):
        raise PermissionDenied("This link is not valid, or no longer.")
    verdict = permission is None or _verdict(permission, request, name)
    if isinstance(verdict, HttpResponseBase):
        return verdict
    if verdict is not True:
        raise PermissionDenied
    try:
        answer = _answer(request, store, name)
    except (NoSuchChild, NotADirectory, IsADirectory):
        raise Http404(f"There is no file {redact(name)!r}.") from None
    except OSError as error:
        logger.error("%r cannot be served: %s", redact(name), error)
        answer = HttpResponse("This file cannot be read now.\n", "text/plain", 503)
    is_for_all = permission is None and seconds is None
    caching = "no-cache" if is_for_all else "private, no-cache"
    if answer.status_code < 400:
        caching = _chosen("cache_control", cache_control, request, name) or caching
    if "Content-Disposition" in answer.headers:
        kind: str | None = "attachment"
        if not download:
            kind = _chosen("content_disposition", content_disposition, request, name)
        if kind is not None:
            file_name = download or name.rpartition("/")[2]
            answer.headers["Content-Disposition"] = _disposition(kind, file_name)
    answer.headers["Cache-Control"] = caching
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


def hook_name(permission: Permission) -> str:
    """A permission hook as it is written in Python, for messages."""
    name = getattr(permission, "__qualname__", None) or type(permission).__qualname__
    return f"{permission.__module__}.{name}"


def _verdict(permission: Permission, request: HttpRequest, name: str) -> Any:
    """The answer of a hook. Raises: ImproperlyConfigured if the server cannot await it."""
    said = permission(request, name)
    if isawaitable(said):
        if not isinstance(request, ASGIRequest):
            if iscoroutine(said):
                said.close()
            raise ImproperlyConfigured(
                f"the permission hook {hook_name(permission)} is 'async def', which only an "
                "asynchronous server (ASGI) can wait for: make it 'def'"
            )
        # Django calls this view in a thread; the server's loop awaits for it.
        said = async_to_sync(_awaited)(said)
    if said and said is not True and not isinstance(said, HttpResponseBase):
        logger.warning(
            "the permission hook %s returned a %s: only True lets anybody read a file",
            hook_name(permission),
            type(said).__name__,
        )
    return said


def _chosen(option: str, header: Header, request: HttpRequest, name: str) -> str | None:
    chosen: Any = header(request, name) if callable(header) else header
    if chosen is None or isinstance(chosen, str):
        return chosen
    if iscoroutine(chosen):
        chosen.close()
    # Django would send the repr of anything: browsers and proxies would then keep private files.
    raise ImproperlyConfigured(
        f"{option} must be a str or None, or a function ('def') that returns one of them, not "
        f"{type(chosen).__name__}"
    )


def _disposition(kind: str, file_name: str) -> str:
    if kind not in DISPOSITIONS:
        raise ImproperlyConfigured(
            f"content_disposition must be 'inline' or 'attachment', not {kind!r}: the view itself "
            "adds the name of the file"
        )
    # Django lets a newline at the end of a name pass, and refuses it as a header.
    return content_disposition_header(kind == "attachment", file_name.rstrip("\n")) or kind


async def _awaited(said: Awaitable[Verdict]) -> Verdict:
    return await said


def _answer(request: HttpRequest, store: TahoeStorage, name: str) -> HttpResponseBase:
    operations = store.operations
    node = done(operations.linked_file(name))
    size = node.size or 0
    etag = None if node.cap.is_mutable else _etag(node.cap)
    modified = None if node.modified is None else int(node.modified)
    headers = {} if etag is None else {"ETag": etag}
    if modified is not None:
        headers["Last-Modified"] = http_date(modified)
    unchanged = get_conditional_response(request, etag, modified)
    if unchanged is not None:
        for header, value in headers.items():
            unchanged.headers[header] = value
        return unchanged
    try:
        part = None
        if request.method == "GET" and _is_same_file(request, etag, modified):
            part = byte_range(request.META.get("HTTP_RANGE", ""), size)
    except Unsatisfiable:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    start, stop = part or (0, size)
    headers |= _description(name, store.holds_scripts)
    headers |= {"Accept-Ranges": "bytes", "Content-Length": str(stop - start)}
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        # A part must not be compressed on its way, for example by Django's GZipMiddleware.
        headers["Content-Encoding"] = "identity"
    if request.method == "HEAD" or start == stop:
        return HttpResponse(headers=headers)
    kind = AwaitedStream if isinstance(request, ASGIRequest) else Stream
    try:
        stream = kind(operations.tree, node, start, stop)
    except NoSuchChild:  # it was pending, and has just been replaced or deleted
        return _answer(request, store, name)
    return StreamingHttpResponse(stream, status=206 if part else 200, headers=headers)


def _is_same_file(request: HttpRequest, etag: str | None, modified: int | None) -> bool:
    """Whether If-Range is not sent, or names this version of the file; see RFC 9110, 14."""
    named = request.META.get("HTTP_IF_RANGE")
    if named is None or named == etag:
        return True
    return modified is not None and parse_http_date_safe(named) == modified


@lru_cache
def _etag(cap: Cap) -> str:
    """An ETag that tells nothing of the cap to anyone without the site's secret key."""
    return f'"{salted_hmac("tahoestorage.etag", str(cap), algorithm="sha256").hexdigest()[:32]}"'


def _description(name: str, holds_scripts: bool) -> dict[str, str]:
    """The headers that tell a browser the type of a file, and limit what it does with the file."""
    file_name = name.rpartition("/")[2]
    kind, encoding = mimetypes.guess_type(file_name)
    if encoding is not None:
        # The browser must not unpack a compressed file.
        kind = _COMPRESSED.get(encoding)
    kind = (kind or _UNKNOWN).lower()
    is_active = _ACTIVE.fullmatch(kind) is not None
    is_shown = is_active or holds_scripts or _SHOWN.fullmatch(kind) is not None
    if _LOADABLE.fullmatch(kind) and not holds_scripts:
        kind = _UNKNOWN
    headers = {
        "Content-Type": kind,
        "Content-Disposition": _disposition("inline" if is_shown else "attachment", file_name),
    }
    return headers | {"Content-Security-Policy": _SANDBOX} if is_active else headers
