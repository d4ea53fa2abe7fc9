"""The base of the tests of uploads."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest
from django.test import RequestFactory

from tahoestorage.storage import TahoeStorage
from tahoestorage.uploadhandler import TahoeUploadHandler
from tests.grid.proxy import Proxy
from tests.tahoestorage.case import StorageTestCase

_BOUNDARY = b"boundary"
CONTENT_TYPE = f"multipart/form-data; boundary={_BOUNDARY.decode()}"
END = b"--%s--\r\n" % _BOUNDARY


def begin(
    name: str = "film.mp4",
    kind: str = "video/mp4",
    encoding: str = "binary",
    field: str = "file",
) -> bytes:
    """The header of a file in a form. A line break follows its bytes."""
    return (
        f"--{_BOUNDARY.decode()}\r\n"
        f'Content-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
        f"Content-Type: {kind}\r\n"
        f"Content-Transfer-Encoding: {encoding}\r\n\r\n"
    ).encode()


class Browser(io.RawIOBase):
    """The body of a request that comes in pieces, as `read` asks for it; functions are called."""

    def __init__(self, *pieces: bytes | Callable[[], object]) -> None:
        self._pieces = list(pieces)

    def read(self, size: int = -1) -> bytes:
        while self._pieces:
            piece = self._pieces.pop(0)
            if not isinstance(piece, bytes):
                piece()
            elif piece:
                self._pieces.insert(0, piece[size:])
                return piece[:size]
        return b""

    def readline(self, size: int | None = -1) -> bytes:
        return self.read(2**16)  # for Django, which only wants to be rid of the rest


class UploadTestCase(StorageTestCase):
    """A test with the three settings of an empty directory; `storage` is that of the settings."""

    def setUp(self) -> None:
        super().setUp()
        self.override(TAHOE_STORAGE_BASE_URL=self.gateway, TAHOE_STORAGE_BASE_CAP=self.cap)
        self.storage = TahoeStorage()

    def use_proxy(self) -> Proxy:
        """From now on the gateway of the settings is a proxy."""
        proxy = Proxy(self.gateway).__enter__()
        self.addCleanup(proxy.__exit__)
        self.override(TAHOE_STORAGE_BASE_URL=proxy.url)
        return proxy

    def post(self, *handlers: type[FileUploadHandler], **data: Any) -> HttpRequest:
        """A request with a form, and these handlers for its files."""
        return self.with_handlers(RequestFactory().post("/", data), handlers)

    def browse(
        self, *pieces: bytes | Callable[[], object], handlers: Sequence[Any] = ()
    ) -> HttpRequest:
        """A request whose body comes in pieces."""
        environ = {
            "REQUEST_METHOD": "POST",
            "CONTENT_TYPE": CONTENT_TYPE,
            "CONTENT_LENGTH": str(10**10),
            "wsgi.input": Browser(*pieces),
        }
        return self.with_handlers(RequestFactory().request(**environ), handlers)

    def with_handlers(self, request: HttpRequest, handlers: Sequence[Any]) -> HttpRequest:
        request.upload_handlers = [kind(request) for kind in handlers or [TahoeUploadHandler]]
        self.addCleanup(request.close)
        return request
