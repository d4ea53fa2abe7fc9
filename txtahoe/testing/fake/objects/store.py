"""The objects of a grid that is one dictionary: bytes under caps of Tahoe's real formats."""

from __future__ import annotations

import secrets
from functools import lru_cache
from hashlib import sha256

from attrs import define

from txtahoe.caps import Cap, base32
from txtahoe.testing.fake.http import refusals

NEEDED, HAPPY, TOTAL = 2, 2, 3
"""A file has TOTAL shares, NEEDED of them give it back; an upload wants HAPPY servers."""

_LITERAL_MOST = 55  # bytes that fit into a LIT cap: allmydata.immutable.upload.Uploader
_MUTABLE = {"SDMF": "SSK", "MDMF": "MDMF"}
_FILES = {
    "DIR2": "SSK",
    "DIR2-RO": "SSK-RO",
    "DIR2-MDMF": "MDMF",
    "DIR2-MDMF-RO": "MDMF-RO",
    "DIR2-CHK": "CHK",
    "DIR2-LIT": "LIT",
}
_DIRECTORIES = {file: directory for directory, file in _FILES.items()}


@define
class Stored:
    """The bytes of an object, and on which server each share lies; None where it is lost."""

    data: bytes
    places: list[int | None]
    version: int = 1


class Store:
    """
    The objects on the storage servers.

    `servers`: how many are connected now, of `known_servers`. A share lies on one server and is
    away with it. `uploads`: how many there were of immutable files.
    """

    def __init__(self, servers: int) -> None:
        self.servers = self.known_servers = servers
        self.uploads = 0
        self._secret = secrets.token_bytes(32)
        self._objects: dict[str, Stored] = {}

    def put_immutable(self, data: bytes) -> Cap:
        """
        The CHK or LIT cap of `data`; the same bytes have the same cap.

        Raises: Failed as UploadUnhappinessError with too few servers.
        """
        self.uploads += 1
        if len(data) <= _LITERAL_MOST:
            return Cap.parse(f"URI:LIT:{base32(data)}")
        if self.servers < HAPPY:
            raise refusals.unhappy_upload(self.servers, HAPPY, NEEDED)
        key = base32(sha256(self._secret + data).digest()[:16])
        digest = base32(sha256(data).digest())
        return self._put(f"URI:CHK:{key}:{digest}:{NEEDED}:{TOTAL}:{len(data)}", data)

    def put_mutable(self, format_: str, data: bytes) -> Cap:
        """The write cap of a new mutable object, of the format "SDMF" or "MDMF"."""
        key, fingerprint = base32(secrets.token_bytes(16)), base32(secrets.token_bytes(32))
        return self._put(f"URI:{_MUTABLE[format_]}:{key}:{fingerprint}", data)

    def _put(self, text: str, data: bytes) -> Cap:
        cap = Cap.parse(text)
        self._objects[_place(cap)] = Stored(data, self._places())
        return cap

    def read(self, cap: Cap) -> bytes:
        """The bytes of a file, or of a directory in its packed form. Raises: Lost."""
        literal = as_file(cap).literal
        return self._recoverable(cap).data if literal is None else literal

    def write(self, cap: Cap, data: bytes) -> None:
        """Replace the bytes of a mutable object; its shares are placed anew. Raises: Lost."""
        stored = self._recoverable(cap)
        stored.data, stored.places = data, self._places()
        stored.version += 1

    def lose(self, cap: Cap, shares: int) -> None:
        """Destroy so many of the shares that an object still has. Raises: KeyError."""
        if _place(cap) not in self._objects:
            raise KeyError(f"{cap!r} has no shares on this grid")
        places = self._objects[_place(cap)].places
        left = [share for share, place in enumerate(places) if place is not None]
        for share in left[:shares]:
            places[share] = None

    def repair(self, cap: Cap) -> None:
        """Place all shares anew. Raises: Lost where too few are left."""
        self._recoverable(cap).places = self._places()

    def version(self, cap: Cap) -> int:
        """How often a mutable object was written."""
        return self._objects[_place(cap)].version

    def good_shares(self, cap: Cap) -> dict[int, int]:
        """The server of each share that can be reached now."""
        stored = self._objects.get(_place(cap))
        places = enumerate(stored.places if stored else ())
        return {
            share: place for share, place in places if place is not None and place < self.servers
        }

    def _places(self) -> list[int | None]:
        hosts = max(1, min(self.servers, TOTAL))
        return [share % hosts for share in range(TOTAL)]

    def _recoverable(self, cap: Cap) -> Stored:
        good = self.good_shares(cap)
        if len(good) >= NEEDED:
            return self._objects[_place(cap)]
        if cap.is_mutable:
            raise refusals.unrecoverable()
        raise refusals.not_enough_shares(NEEDED) if good else refusals.no_shares(NEEDED)


# Each request works out the places of the same few caps.
_remembered = lru_cache(maxsize=2**12)


def as_directory(cap: Cap) -> Cap:
    """The directory that is packed in a file. See Tahoe's `allmydata.uri.wrap_dirnode_cap`."""
    return Cap.parse(f"URI:{_DIRECTORIES[cap.kind]}:{_fields(cap)}")


@_remembered
def as_file(cap: Cap) -> Cap:
    """The file in which a directory is packed; a file is its own."""
    return Cap.parse(f"URI:{_FILES[cap.kind]}:{_fields(cap)}") if cap.is_directory else cap


def _fields(cap: Cap) -> str:
    return str(cap).split(":", 2)[2]


@_remembered
def _place(cap: Cap) -> str:
    # A directory has the fields of the file in which it is packed.
    return _fields(cap.verifier) if cap.verifier else ""
