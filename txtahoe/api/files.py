"""Operations on files: immutable ones and mutable ones of both formats."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable
from typing import BinaryIO, Literal

from attrs import frozen

from txtahoe.api.download import Download
from txtahoe.api.operations import Operations, base64_of, given, parse_cap
from txtahoe.caps import Cap, require_cap
from txtahoe.errors import BadRequest, IsADirectory, NotAGateway, NotWriteable
from txtahoe.http.request import Request
from txtahoe.http.sources import BytesSource, ISource, IteratorSource, file_source
from txtahoe.http.transport import url_text

Progress = Callable[[int], None]
Uploadable = bytes | bytearray | memoryview | BinaryIO | AsyncIterable[bytes] | ISource
MutableFormat = Literal["SDMF", "MDMF"]


@frozen
class Head:
    """
    What the gateway says of a file before its bytes.

    `etag`: of an immutable file; it comes from the cap alone, and proves nothing of the bytes.
    `is_unchanged`: whether the file has the ETag that was asked about.
    """

    size: int | None
    content_type: str
    etag: str | None
    is_unchanged: bool


class FileOperations(Operations):
    """Upload, download, and mutable files."""

    async def upload(self, source: Uploadable, *, progress: Progress | None = None) -> Cap:
        """
        Put the bytes of `source` on the grid as an immutable file that no directory names.

        A file object is read from where it stands, in a thread (under a reactor without threads,
        such as `task.Clock`, at once), and not closed. What can be read again is uploaded again
        after a transient error: the same bytes make the same cap. When the upload has ended, also
        by an error, nothing reads from `source` any more.
        `progress` is called with the number of bytes after each chunk that was handed over.

        Raises: TypeError, ValueError where the source gives something other than bytes, or not as
        many as it says; the source's own error.
        """
        return await self._upload(source, {}, "uploading", progress)

    async def create_mutable(
        self,
        source: Uploadable,
        *,
        format: MutableFormat = "SDMF",
        private_key: bytes | None = None,
        progress: Progress | None = None,
    ) -> Cap:
        """
        A new mutable file, that no directory names, with the bytes of `source`; its write cap.

        `private_key`: RSA, 2048 bits, DER; the gateway makes one where it is not given. The key
        decides which file it is, so it can be used once.

        Raises: UncoordinatedWrite where a file of this key is there already.
        """
        query = given(format=format, private_key=base64_of(private_key))
        return await self._upload(source, query, "creating a mutable file", progress)

    async def overwrite(
        self, cap: Cap, source: Uploadable, *, progress: Progress | None = None
    ) -> None:
        """Replace the contents of a mutable file. Raises: NotWriteable."""
        await self._write(cap, source, {}, progress)

    async def write_at(
        self, cap: Cap, source: Uploadable, offset: int, *, progress: Progress | None = None
    ) -> None:
        """
        Write into a mutable file from `offset` on, in bytes, at most its size.

        Raises: NotWriteable; ValueError for a negative offset; BadRequest beyond the end.
        """
        if offset < 0:
            raise ValueError("an offset counts bytes; it is not negative")
        if offset > await self.size(cap):
            raise BadRequest(f"writing to {cap!r}: the offset {offset} is beyond its end")
        await self._write(cap, source, {"offset": str(offset)}, progress)

    async def download(
        self,
        cap: Cap,
        offset: int = 0,
        length: int | None = None,
        *,
        progress: Progress | None = None,
    ) -> Download:
        """
        The verified bytes of a file, from `offset` on, `length` of them or up to its end.

        No byte is fetched before the first one is read. `progress` is called with the number of
        bytes after each chunk that was verified.

        Raises: IsADirectory; BadCap for a cap that cannot read; ValueError for a negative number.
        """
        if offset < 0 or (length is not None and length < 0):
            raise ValueError("offset and length count bytes; they are not negative")
        size = await self.size(cap)
        end = size if length is None else min(size, offset + length)
        start = min(offset, size)
        return Download(self._transport, cap.reader, start, end, size, progress)

    async def read(
        self,
        cap: Cap,
        offset: int = 0,
        length: int | None = None,
        *,
        progress: Progress | None = None,
    ) -> bytes:
        """As `download`, in memory."""
        download = await self.download(cap, offset, length, progress=progress)
        return await download.rest()

    async def size(self, cap: Cap) -> int:
        """The size of a file in bytes; no request for an immutable one. Raises: IsADirectory."""
        reader = _file_reader(cap)
        if reader.size is not None:
            return reader.size
        size = (await self.head(cap)).size
        if size is None:
            raise NotAGateway(f"asking for the size of {cap!r}: the answer has no length")
        return size

    async def head(self, cap: Cap, *, filename: str | None = None, etag: str | None = None) -> Head:
        """
        The head of a file. The content type is that of `filename`, which need not exist.

        `etag`: what an earlier `head` gave, to learn whether it still holds.

        Raises: IsADirectory.
        """
        reader = _file_reader(cap)
        doing = f"asking for the head of {cap!r}"
        request = Request(
            # The gateway knows of ETags in answers to GET only.
            "HEAD" if etag is None else "GET",
            ["uri", reader],
            given(filename=filename),
            doing=doing,
            headers={} if etag is None else {"If-None-Match": etag},
            expected=(200, 304),
        )
        answer = await self._transport.repeat(lambda: self._transport.open(request))
        answer.abandon()
        # Not the answer's length: a HEAD has no body.
        length = answer.header("content-length")
        return Head(
            size=int(length) if length.isdecimal() and answer.status == 200 else reader.size,
            content_type=answer.header("content-type"),
            etag=None if reader.is_mutable else f"{reader.storage_index or ''}-",
            is_unchanged=answer.status == 304,
        )

    def url(self, cap: Cap, filename: str | None = None, *, save: bool = False) -> str:
        """
        The URL at which this gateway gives a file to whoever has the URL. It holds the read cap.

        `filename`: what the content type is guessed from. `save`: browsers save it and do not
        show it.
        """
        path = ["uri"] if filename is None else ["named"]
        url = self._transport.gateway.child(*path, str(_file_reader(cap)))
        if filename is not None:
            url = url.child(filename)
        for name, value in given(save=save).items():
            url = url.add(name, value)
        return url_text(url)

    async def _upload(
        self, source: Uploadable, query: dict[str, str], doing: str, progress: Progress | None
    ) -> Cap:
        body = self._source(source)
        repeat = body.repeatable and "private-key" not in query
        request = Request("PUT", ["uri"], query, doing=doing, body=body, sent=progress)
        return parse_cap(await self._transport.ask(request, repeat=repeat), doing)

    async def _write(
        self, cap: Cap, source: Uploadable, query: dict[str, str], progress: Progress | None
    ) -> None:
        _file_reader(cap)
        if not cap.is_writable:
            raise NotWriteable(f"{cap!r} does not give the right to write")
        body = self._source(source)
        doing = f"writing to {cap!r}"
        request = Request(
            "PUT", ["uri", cap], query, doing=doing, body=body, sent=progress, changes=True
        )
        # The same bytes at the same place: once more does no harm.
        await self._transport.ask(request, repeat=body.repeatable)

    def _source(self, source: Uploadable) -> ISource:
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
