"""What the bytes of a file are, written down in the metadata of its link."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from txtahoe.caps import Cap
from txtahoe.nodes import Node

# The key in a link's metadata under which it stands.
DIGEST = "txtahoe-sha256"


def with_digest(cap: Cap, digest: str) -> dict[str, Any]:
    """
    The metadata of a link to a file whose bytes have this SHA-256, in hexadecimal.

    It counts for that cap alone: other clients keep the metadata of a link when they replace the
    file.
    """
    return {DIGEST: {cap.fingerprint: digest}}


def digest_of(node: Node) -> str | None:
    """The digest of a file's bytes, if its link has one, and leads where it led then."""
    # Metadata is anybody's: whoever writes the directory may put anything there.
    digests = node.metadata.get(DIGEST)
    digest: Any = digests.get(node.cap.fingerprint) if isinstance(digests, Mapping) else None
    return digest if isinstance(digest, str) and not node.cap.is_mutable else None
