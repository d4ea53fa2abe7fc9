"""
Files that are encrypted and authenticated block by block, as they lie in a folder of this host:

    a head      the content key, encrypted with a key made from a cap
    slots       block 0, block 1, … of 128 KiB, each encrypted with the content key; or holes

AES-GCM also authenticates: anyone without the cap learns sizes and times, and can destroy blocks
but not change them, nor move them: the number of a block is authenticated with it. Each encryption
has a nonce of its own. A block that is damaged, or was written in part, does not decrypt.
"""

from __future__ import annotations

import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from txtahoe.caps import Cap, require_cap
from txtahoe.sealing import sealed

BLOCK = 2**17
"""Bytes of a block of a file; the last one can have fewer."""

KEY = 16  # AES-128, as for Tahoe-LAFS's own shares
NONCE, TAG = 12, 16
HEAD = NONCE + KEY + TAG
SLOT = NONCE + BLOCK + TAG


@sealed
def key_of(cap: Cap, purpose: str, length: int = KEY) -> bytes:
    """A key made from a cap, another one for each purpose. Raises: TypeError if it is no Cap."""
    require_cap(cap)  # the text of one, with a line's end say, would make another key
    hkdf = HKDF(SHA256(), length, salt=None, info=purpose.encode())
    return hkdf.derive(str(cap).encode())


@sealed
def encrypted(seal: AESGCM, data: bytes, number: int = 0) -> bytes:
    """A content key, or the block of this number, with its nonce."""
    nonce = os.urandom(NONCE)
    return nonce + seal.encrypt(nonce, data, number.to_bytes(8))


@sealed
def decrypted(seal: AESGCM, data: bytes, number: int = 0) -> bytes:
    """The opposite of `encrypted`. Raises: InvalidTag if bytes are missing or damaged."""
    return seal.decrypt(data[:NONCE].ljust(NONCE), memoryview(data)[NONCE:], number.to_bytes(8))
