"""Uploads that reach the grid while the browser still sends them."""

from __future__ import annotations

import io
from typing import Any, NoReturn

from django.conf import DEFAULT_STORAGE_ALIAS
from django.core.exceptions import RequestDataTooBig, SynchronousOnlyOperation
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, StopFutureHandlers
from django.http import HttpRequest

from tahoestorage.conf import Connection
from tahoestorage.grid.reader import Reader
from tahoestorage.grid.tree import OnGrid, StorageTree
from tahoestorage.reactor.waiting import Caller, done, is_in_event_loop
from tahoestorage.storage import storage_of
from txtahoe.caps import Cap
from txtahoe.nodes import Node
from txtahoe.tree.arrival import Arrival
from txtahoe.tree.tree import Tree
from txtahoe.tree.uploads import SMALL

_BLOCK = 2**18  # bytes that one change of threads hands over
_GATEWAY_PATIENCE = 60.0  # seconds after which the gateway closes a silent connection


class TahoeUploadedFile(OnGrid, UploadedFile):  # type: ignore[type-arg]
    """
    A file of `request.FILES` whose bytes are on the grid, without a name.

    A TahoeStorage on the same gateways saves it by linking it. Any other use fetches the bytes.
    """

    _file: Any
    _cap: Cap | None

    def __init__(
        self,
        tree: StorageTree,
        cap: Cap,
        name: str | None,
        content_type: str | None,
        charset: str | None,
        content_type_extra: dict[str, Any] | None,
    ) -> None:
        super().__init__(None, name, content_type, cap.size, charset, content_type_extra)
        self._tree = tree
        self._cap = cap

    @property
    def file(self) -> Any:
        if self._file is None and self._cap is not None:
            node = Node("filenode", self._cap, self._cap.size)
            self._file = io.BufferedReader(Reader(self._tree, node))
        return self._file

    @file.setter
    def file(self, file: Any) -> None:
        self._file, self._cap = file, None

    def open(self, mode: str | None = None, *args: Any, **kwargs: Any) -> TahoeUploadedFile:
        if self._cap is not None and self.closed:
            self._file = None
        super().open(mode, *args, **kwargs)
        return self

    def cap_at(self, connection: Connection) -> Cap | None:
        return self._cap if connection.gateways == self._tree.connection.gateways else None

    def __reduce__(self) -> NoReturn:
        raise TypeError("an uploaded file is not pickled; save it, and pickle its name")


class Upload:
    """
    The bytes of one file on their way to the grid, from the thread that receives them.

    A small file is gathered, and uploaded by `finish`. A larger one is sent as it comes; `write`
    waits while the gateway is slower than the browser.
    """

    def __init__(self, tree: StorageTree, name: str | None) -> None:
        self.size = 0
        self.closed = False
        self.tree = tree
        self._name = name
        self._gathered = bytearray()
        self._under_way: tuple[Tree, Arrival] | None = None

    def write(self, data: bytes) -> None:
        self.size += len(data)
        self._gathered += data
        if len(self._gathered) >= (_BLOCK if self._under_way else SMALL):
            data = self._take()
            done(self.tree.run(lambda tree, caller: self._arrival(tree).put(data), self._name))

    def finish(self) -> Cap:
        """Return the cap of all bytes. Raises: as `write`."""
        data = self._take()

        async def finish(tree: Tree, caller: Caller) -> Cap:
            if self._under_way:
                return await self._arrival(tree).finish(data)
            return await tree.upload(data)

        cap = done(self.tree.run(finish, self._name))
        self._under_way, self.closed = None, True
        return cap

    def close(self) -> None:
        """End the request to the gateway, unless it is over, without waiting."""
        self.closed = True
        if self._under_way:
            tree, arrival = self._under_way
            self._under_way = None
            self.tree.close(arrival, tree)

    def __del__(self) -> None:
        self.close()

    def _take(self) -> bytes:
        data = bytes(self._gathered)
        self._gathered.clear()
        return data

    def _arrival(self, tree: Tree) -> Arrival:
        if self._under_way is None:
            silence = min(self.tree.connection.timeout, _GATEWAY_PATIENCE) / 3
            self._under_way = tree, Arrival(tree.client, silence)
        begun, arrival = self._under_way
        if begun is not tree:
            raise ConnectionAbortedError("the upload was given up: its reactor was stopped")
        return arrival


class TahoeUploadHandler(FileUploadHandler):
    """
    Sends each file to the grid as it comes in, for a TahoeUploadedFile in `request.FILES`.

    It takes all files; the handlers after it get none. In the thread of a running event loop, where
    it must not wait, it leaves them to those.

    The code that parses the request raises the errors of the grid, as OSErrors of `txtahoe`.
    """

    storage: str = DEFAULT_STORAGE_ALIAS
    """The alias of the storage on the grid; see `storage_of`."""
    max_size: int | None = None
    """
    Bytes of a file, at most. The next byte raises RequestDataTooBig, as for Django's own limits:
    the answer is 400, and the rest is not read.
    """

    file: Upload  # by this name, Django closes it if it skips the file or stops all uploads

    def handle_raw_input(self, *args: Any, **kwargs: Any) -> None:
        if self.request is not None:
            _end_with(self.request, self)

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self.upload_interrupted()
        if is_in_event_loop():
            if self.request is not None and self.request.upload_handlers[-1] is self:
                raise SynchronousOnlyOperation(
                    "TahoeUploadHandler cannot wait in the thread of a running event loop, and no "
                    "other handler is behind it in FILE_UPLOAD_HANDLERS. Add one of Django's, or "
                    "use sync_to_async() for the first access to request.POST or request.FILES."
                )
            return
        self.file = Upload(storage_of(self.storage)._tree, self.file_name)
        raise StopFutureHandlers

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        if not self._is_receiving:
            return raw_data
        try:
            if self.max_size is not None and self.file.size + len(raw_data) > self.max_size:
                raise RequestDataTooBig(f"{self.file_name!r} has more than {self.max_size} bytes")
            self.file.write(raw_data)
        except BaseException:
            self.file.close()
            raise
        return None

    def file_complete(self, file_size: int) -> TahoeUploadedFile | None:
        if not self._is_receiving:
            return None
        try:
            cap = self.file.finish()
        finally:
            self.file.close()
        return TahoeUploadedFile(
            self.file.tree,
            cap,
            self.file_name,
            self.content_type,
            self.charset,
            self.content_type_extra,
        )

    def upload_interrupted(self) -> None:
        if self._is_receiving:
            self.file.close()

    @property
    def _is_receiving(self) -> bool:
        return hasattr(self, "file") and not self.file.closed


def _end_with(request: HttpRequest, handler: TahoeUploadHandler) -> None:
    """
    End the upload of `handler` with its request.

    Django closes every request, but tells no handler of an exception that ends the parsing: of a
    limit, of another handler, or of the connection.
    """
    close = request.close

    def close_all() -> None:
        handler.upload_interrupted()
        close()

    request.close = close_all  # type: ignore[method-assign]
