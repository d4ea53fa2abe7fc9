"""SHA-256 digests of files, kept in the metadata of their links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from txtahoe.caps import Cap
from txtahoe.nodes import Node

DIGEST = "txtahoe-sha256"
"""The key in the metadata of a link."""


def with_digest(cap: Cap, digest: str) -> dict[str, Any]:
    """
    The metadata of a link to a file with this SHA-256, in hexadecimal.

    It is valid for that cap alone: other clients keep the metadata when they replace the file.
    """
    return {DIGEST: {cap.fingerprint: digest}}


def digest_of(node: Node) -> str | None:
    """The digest of a file, if its link has one for the same cap."""
    # Anyone who writes the directory can put anything into the metadata.
    digests = node.metadata.get(DIGEST)
    digest: Any = digests.get(node.cap.fingerprint) if isinstance(digests, Mapping) else None
    return digest if isinstance(digest, str) and not node.cap.is_mutable else None
