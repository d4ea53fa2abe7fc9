"""Operations on files: immutable ones and mutable ones of both formats."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Mapping
from functools import partial
from typing import Any, BinaryIO, Literal, get_args

from txtahoe.api.download import Download
from txtahoe.api.keeping import KeptDownload, KeptSource, disk_threads
from txtahoe.api.operations import Operations, given
from txtahoe.caps import Cap, require_cap
from txtahoe.errors import BadRequest, IsADirectory, NotAGateway, NotWriteable
from txtahoe.http.request import Request
from txtahoe.http.sources import (
    BytesSource,
    ISource,
    IteratorSource,
    Source,
    file_source,
)
from txtahoe.http.transport import url_text
from txtahoe.sealing import sealed

Progress = Callable[[int], None]
Uploadable = bytes | bytearray | memoryview | BinaryIO | AsyncIterable[bytes] | ISource | Source
MutableFormat = Literal["SDMF", "MDMF"]


class FileOperations(Operations):
    """Upload, download, and mutable files."""

    async def upload(self, source: Uploadable, *, progress: Progress | None = None) -> Cap:
        """
        Put the bytes of `source` on the grid as an immutable file that no directory names.

        This reads a file object from its position, in a thread (under a reactor without threads,
        such as `task.Clock`, at once), and does not close it. After a transient error it uploads
        the source again, if that can be read again: the same bytes make the same cap. When the
        upload has ended, also by an error, nothing reads from `source` any more.
        `progress` is called with the number of bytes after each chunk that went out.

        Raises: TypeError, ValueError if the source gives something other than bytes, or not as
        many as it says, or is a generator that was read before; the source's own error.
        """
        if self.content_cache is None:
            return await self._upload(source, {}, "uploading", progress)
        kept = KeptSource(self._source(source), self.content_cache, self._transport.reactor)
        cap = None
        try:
            cap = await self._upload(kept, {}, "uploading", progress)
            return cap
        finally:
            await kept.finish(cap)

    async def forget(self, cap: Cap) -> None:
        """Remove the bytes of a file from the content cache, if there is one."""
        if self.content_cache is not None:
            await disk_threads(self._transport.reactor)(partial(self.content_cache.forget, cap))

    async def create_mutable(self, source: Uploadable, *, format: MutableFormat = "SDMF") -> Cap:
        """
        Make a mutable file of the bytes, which no directory names. Returns its write cap.

        Raises: ValueError for another format.
        """
        if format not in get_args(MutableFormat):  # without one, the file would be immutable
            raise ValueError(f"format is {format!r}: give 'SDMF' or 'MDMF'")
        return await self._upload(source, {"format": format}, "creating a mutable file", None)

    async def _upload(
        self, source: Uploadable, query: Mapping[str, str], doing: str, progress: Progress | None
    ) -> Cap:
        body = self._source(source)
        request = Request("upload", "PUT", ["uri"], query, doing=doing, body=body, sent=progress)
        return await self._cap(request, repeat=body.repeatable)

    async def overwrite(self, cap: Cap, source: Uploadable) -> None:
        """Replace the contents of a mutable file. Raises: NotWriteable."""
        await self._write(cap, source, {})

    async def write_at(self, cap: Cap, source: Uploadable, offset: int) -> None:
        """
        Write into a mutable file from `offset` on, in bytes, at most its size.

        Raises: NotWriteable; ValueError for a negative offset; BadRequest beyond the end.
        """
        if offset < 0:
            raise ValueError("an offset counts bytes; it is not negative")
        if offset > await self.size(cap):
            raise BadRequest(f"writing to {cap!r}: the offset {offset} is beyond its end")
        await self._write(cap, source, {"offset": str(offset)})

    async def _write(self, cap: Cap, source: Uploadable, query: Mapping[str, str]) -> None:
        _file_reader(cap)
        if not cap.is_writable:
            raise NotWriteable(f"{cap!r} does not give the right to write")
        body = self._source(source)
        doing = f"writing to {cap!r}"
        request = Request("write", "PUT", ["uri", cap], query, doing=doing, body=body, changes=True)
        # The same bytes at the same place: once more does no harm.
        await self._transport.ask(request, repeat=body.repeatable)

    async def download(
        self, cap: Cap, offset: int = 0, length: int | None = None, *, fresh: bool = False
    ) -> Download:
        """
        The verified bytes of a file, from `offset` on, `length` of them or up to its end. This
        fetches no byte before the caller reads the first one. With `fresh` it asks the gateway
        even for bytes that the content cache has.

        Raises: IsADirectory; BadCap for a cap that cannot read; ValueError for a negative number.
        """
        if offset < 0 or (length is not None and length < 0):
            raise ValueError("offset and length count bytes; they are not negative")
        size = await self.size(cap)
        end = size if length is None else min(size, offset + length)
        keeping = None
        if self.content_cache is not None and self.content_cache.keeps(cap):
            keeping = KeptDownload(self.content_cache, cap, self._transport.reactor, fresh)
        return Download(self._transport, cap.reader, min(offset, size), end, size, keeping)

    async def read(self, cap: Cap, offset: int = 0, length: int | None = None) -> bytes:
        """As `download`, in memory."""
        return await (await self.download(cap, offset, length)).rest()

    async def size(self, cap: Cap) -> int:
        """The size of a file in bytes; no request for an immutable one. Raises: IsADirectory."""
        reader = _file_reader(cap)
        if reader.size is not None:
            return reader.size
        request = Request("size", "HEAD", ["uri", reader], doing=f"asking for the size of {cap!r}")
        answer = await self._transport.repeat(lambda: self._transport.open(request))
        answer.abandon()
        # Not the answer's length: a HEAD has no body.
        length = answer.header("content-length")
        if not length.isdecimal():
            raise NotAGateway(f"{request.doing}: the answer has no length")
        return int(length)

    @sealed
    def url(self, cap: Cap, filename: str | None = None, *, save: bool = False) -> str:
        """
        The URL at which this gateway gives a file to anyone. The URL holds the read cap.

        `filename`: the gateway guesses the content type from it. `save`: browsers save the file
        and do not show it.

        Raises: ValueError for a gateway at a Unix socket, which has no URL for others.
        """
        if self._transport.gateway.scheme == "unix":
            raise ValueError("a gateway at a Unix socket has no URL for others")
        reader = str(_file_reader(cap))
        path = ["uri", reader] if filename is None else ["named", reader, filename]
        return url_text(self._transport.gateway.child(*path).replace(query=given(save=save)))

    def _source(self, source: Any) -> ISource:
        if ISource.providedBy(source):
            return source
        if isinstance(source, bytes | bytearray | memoryview):
            return BytesSource(bytes(source))
        if isinstance(source, AsyncIterable):
            return IteratorSource(source)
        if hasattr(source, "read"):
            return file_source(source, self._transport.reactor)
        raise TypeError(
            f"cannot upload {type(source).__name__}: give bytes, a binary file object, "
            "an asynchronous iterable of bytes, or an ISource"
        )


def _file_reader(cap: Cap) -> Cap:
    require_cap(cap)
    if cap.is_directory:
        raise IsADirectory(f"{cap!r} is a directory, not a file")
    return cap.reader
