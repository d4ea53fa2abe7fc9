"""Damage and delete share files."""

from __future__ import annotations

import struct

from txtahoe.caps import Cap
from txtahoe.testing.grid import Grid, Server

# A share file begins with the storage server's header; offsets in the share count from its end.
_SERVER_HEADER = 12


def damage(grid: Grid, cap: Cap, segment: int) -> None:
    """Flip bits in one segment of a file of `grid`, on every server; -1 is the last segment."""
    assert cap.storage_index is not None
    shares = grid.share_files(cap.storage_index)
    assert shares
    for path in shares:
        share = bytearray(path.read_bytes())
        _, block, size, start = struct.unpack_from(">LLLL", share, _SERVER_HEADER)
        within = size - 1 if segment < 0 else segment * block
        share[_SERVER_HEADER + start + within] ^= 0xFF
        path.write_bytes(share)


def lose_on(server: Server, cap: Cap) -> int:
    """Delete a server's shares of an object; return how many there were."""
    assert cap.storage_index is not None
    shares = list(server.folder.glob(f"storage/shares/*/{cap.storage_index}/*"))
    for path in shares:
        path.unlink()
    return len(shares)
