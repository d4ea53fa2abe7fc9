"""Files of a storage, served by name to who may read them."""

from __future__ import annotations

import logging
import mimetypes
import re
from collections.abc import Awaitable, Callable
from inspect import isawaitable, iscoroutine
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import DEFAULT_STORAGE_ALIAS
from django.core.exceptions import (
    ImproperlyConfigured,
    PermissionDenied,
    SuspiciousFileOperation,
)
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.crypto import salted_hmac
from django.utils.http import content_disposition_header, http_date
from django.views.decorators.http import require_safe

from tahoestorage import conf
from tahoestorage.addresses import is_signed
from tahoestorage.ranges import Unsatisfiable, requested_range
from tahoestorage.serving import storage_of
from tahoestorage.storage import TahoeStorage
from tahoestorage.streaming import Stream
from tahoestorage.waiting import done
from txtahoe.caps import Cap, redact
from txtahoe.errors import IsADirectory, NoSuchChild, NotADirectory

logger = logging.getLogger("tahoestorage")

Verdict = bool | HttpResponseBase
Permission = Callable[[HttpRequest, str], Verdict | Awaitable[Verdict]]

# Types that can run scripts when a browser opens them: these are shown in a sandbox.
_ACTIVE = re.compile(r"text/html|text/xml|application/xml|multipart/related|message/rfc822|.*\+xml")
# Of the others, browsers show these, and download the rest.
_SHOWN = re.compile(r"(image|audio|video)/.+|application/pdf|text/plain")
# Types that pages of this site can run or apply, however the file is disposed: with "nosniff" a
# browser does neither where the type is another one.
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
) -> HttpResponseBase:
    """
    A file of the storage of this alias, or the part of it that the request asks for.

    `permission`: is called with the request and the file's name. True, and nothing else, lets the
    client read the file; a response is sent instead of the file. It may be `async def` where an
    asynchronous server has sent the request. With the storage's option `signed_urls`, only URLs
    that `url()` has made lead anywhere.

    Raises: Http404 for what is no file; PermissionDenied; ImproperlyConfigured for an `async def`
    hook that can't be awaited.
    """
    store = storage_of(storage)
    try:
        name = store.name_served(name)
    except SuspiciousFileOperation:
        raise Http404("No file has such a name.") from None
    seconds = conf.signed_urls(store.options)
    if seconds is not None:
        _require_signature(request, storage, name, seconds)
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
    answer.headers["Cache-Control"] = "no-cache" if is_for_all else "private, no-cache"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


def _require_signature(request: HttpRequest, alias: str, name: str, seconds: float) -> None:
    expires, signature = (request.GET.get(key, "") for key in ("expires", "signature"))
    if not is_signed(alias, name, expires, signature, seconds):
        raise PermissionDenied("This link is not valid, or no longer.")


def hook_name(permission: Permission) -> str:
    """A permission hook as it is written in Python, for messages."""
    name = getattr(permission, "__qualname__", None) or type(permission).__qualname__
    return f"{permission.__module__}.{name}"


def _verdict(permission: Permission, request: HttpRequest, name: str) -> Any:
    """What a hook says. Raises: ImproperlyConfigured where it can't be awaited."""
    said = permission(request, name)
    if isawaitable(said):
        if not isinstance(request, ASGIRequest):
            if iscoroutine(said):
                said.close()
            raise ImproperlyConfigured(
                f"the permission hook {hook_name(permission)} is 'async def', which only an "
                "asynchronous server (ASGI) can wait for: make it 'def'"
            )
        # Django calls this view in a thread, for which the loop of the server awaits.
        said = async_to_sync(_awaited)(said)
    if said and said is not True and not isinstance(said, HttpResponseBase):
        logger.warning(
            "the permission hook %s returned a %s: only True lets anybody read a file",
            hook_name(permission),
            type(said).__name__,
        )
    return said


async def _awaited(said: Awaitable[Verdict]) -> Verdict:
    return await said


def _answer(request: HttpRequest, store: TahoeStorage, name: str) -> HttpResponseBase:
    node = done(store.operations.linked_file(name))
    size = node.size or 0
    etag = None if node.cap.is_mutable else _etag(node.cap)
    modified = None if node.modified is None else int(node.modified)
    headers = _validators(etag, modified)
    unchanged = get_conditional_response(request, etag, modified)
    if unchanged is not None:
        for header, value in headers.items():
            unchanged.headers[header] = value
        return unchanged
    try:
        part = requested_range(request, size, etag, modified)
    except Unsatisfiable:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    offset, length = part or (0, size)
    headers |= _description(name, store.holds_scripts)
    headers |= {"Accept-Ranges": "bytes", "Content-Length": str(length)}
    if part is not None:
        headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{size}"
        # A part must not be compressed on its way, as Django's GZipMiddleware would do it.
        headers["Content-Encoding"] = "identity"
    if request.method == "HEAD" or not length:
        return HttpResponse(headers=headers)
    stream = Stream(store.operations.tree, node.cap, offset, length)
    content = stream.awaited if isinstance(request, ASGIRequest) else stream
    return StreamingHttpResponse(content, status=206 if part else 200, headers=headers)


def _etag(cap: Cap) -> str:
    """It tells files apart, and nothing of the cap to anybody without the site's secret key."""
    return f'"{salted_hmac("tahoestorage.views", str(cap), algorithm="sha256").hexdigest()[:32]}"'


def _validators(etag: str | None, modified: int | None) -> dict[str, str]:
    headers = {} if etag is None else {"ETag": etag}
    return headers if modified is None else headers | {"Last-Modified": http_date(modified)}


def _description(name: str, holds_scripts: bool) -> dict[str, str]:
    """What a browser is told of the file, and what it may do with it."""
    file_name = name.rpartition("/")[2]
    kind, encoding = mimetypes.guess_type(file_name)
    if encoding is not None:
        # Bytes that are compressed already are what they are; the browser shall not unpack them.
        kind = _COMPRESSED.get(encoding)
    kind = (kind or _UNKNOWN).lower()
    is_active = _ACTIVE.fullmatch(kind) is not None
    is_shown = is_active or holds_scripts or _SHOWN.fullmatch(kind) is not None
    if _LOADABLE.fullmatch(kind) and not holds_scripts:
        kind = _UNKNOWN
    headers = {
        "Content-Type": kind,
        "Content-Disposition": content_disposition_header(not is_shown, file_name) or "inline",
    }
    return headers | {"Content-Security-Policy": _SANDBOX} if is_active else headers
