"""Files of a storage, served by name to who may read them."""

from __future__ import annotations

import logging
import mimetypes
import re
from collections.abc import Callable

from django.conf import DEFAULT_STORAGE_ALIAS
from django.core.exceptions import PermissionDenied, SuspiciousFileOperation
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

Permission = Callable[[HttpRequest, str], bool]

# What may run scripts when a browser opens it; images in a page do not.
_ACTIVE = re.compile(r"text/html|text/xml|application/xml|multipart/related|message/rfc822|.*\+xml")
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

    `permission`: is given the request and the file's name, and says whether it may be read. With
    the storage's option `signed_urls`, only URLs that `url()` has made lead anywhere.

    Raises: Http404 for what is no file; PermissionDenied.
    """
    store = storage_of(storage)
    try:
        name = store.name_served(name)
    except SuspiciousFileOperation:
        raise Http404("No file has such a name.") from None
    is_for_all = _require_permission(request, name, storage, store, permission)
    try:
        answer = _answer(request, store, name)
    except (NoSuchChild, NotADirectory, IsADirectory):
        raise Http404(f"There is no file {redact(name)!r}.") from None
    except OSError as error:
        logger.error("%r cannot be served: %s", redact(name), error)
        answer = HttpResponse("This file cannot be read now.\n", "text/plain", 503)
    answer.headers["Cache-Control"] = "no-cache" if is_for_all else "private, no-cache"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


def _require_permission(
    request: HttpRequest,
    name: str,
    alias: str,
    store: TahoeStorage,
    permission: Permission | None,
) -> bool:
    """Whether everybody may read the file. Raises: PermissionDenied where this client may not."""
    is_signed_only = conf.signed_urls(store.options) is not None
    if is_signed_only:
        expires, signature = (request.GET.get(key, "") for key in ("expires", "signature"))
        if not is_signed(alias, name, expires, signature):
            raise PermissionDenied("This link is not valid, or no longer.")
    if permission is not None and not permission(request, name):
        raise PermissionDenied
    return permission is None and not is_signed_only


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
    headers |= _description(name) | {"Accept-Ranges": "bytes", "Content-Length": str(length)}
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


def _description(name: str) -> dict[str, str]:
    """What a browser is told of the file, and what it may do with it."""
    file_name = name.rpartition("/")[2]
    kind, encoding = mimetypes.guess_type(file_name)
    if kind is None or encoding is not None:
        # Bytes that are compressed already are what they are; the browser shall not unpack them.
        kind = _COMPRESSED.get(encoding or "", "application/octet-stream")
    headers = {
        "Content-Type": kind,
        "Content-Disposition": content_disposition_header(False, file_name) or "inline",
    }
    return headers | {"Content-Security-Policy": _SANDBOX} if _ACTIVE.fullmatch(kind) else headers
