"""What the operations of the web API have in common."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from txtahoe.caps import BadCap, Cap
from txtahoe.errors import NotADirectory, NotAGateway
from txtahoe.nodes import parse_json
from txtahoe.streams import ISource
from txtahoe.transport import Transport


class Operations:
    """
    Operations on one gateway.

    Every method raises the errors of `Transport.open`; further ones are named where they occur.
    No URL has more than one segment after a cap: a failure on a longer path may go unanswered.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def _json(
        self, method: str, path: Sequence[Cap | str], query: Mapping[str, str], doing: str
    ) -> Any:
        """The answer to a request that may be repeated, as JSON. Raises: NotAGateway."""
        answer = await self._transport.ask(method, path, query, doing=doing, repeat=True)
        return parse_json(answer, doing)

    async def _cap(
        self,
        method: str,
        path: Sequence[Cap | str],
        query: Mapping[str, str],
        doing: str,
        body: ISource | None = None,
        repeat: bool = True,
    ) -> Cap:
        """The answer to a request, as a cap. Raises: NotAGateway."""
        answer = await self._transport.ask(
            method, path, query, doing=doing, body=body, repeat=repeat
        )
        return parse_cap(answer, doing)


def given(**arguments: Any) -> dict[str, str]:
    """The arguments of a query, without those that are None or False; `_` stands for `-`."""
    return {
        name.replace("_", "-"): "true" if value is True else str(value)
        for name, value in arguments.items()
        if value is not None and value is not False
    }


def base64_of(key: bytes | None) -> str | None:
    """A private key as the gateway takes it."""
    return None if key is None else urlsafe_b64encode(key).decode()


def parse_cap(answer: bytes, doing: str) -> Cap:
    """The cap that an answer consists of. Raises: NotAGateway."""
    try:
        cap = Cap.parse(answer)
    except BadCap:
        cap = None
    if cap is None or not cap.is_known:
        raise NotAGateway(f"{doing}: the answer is no cap, so it is not from a Tahoe-LAFS gateway")
    return cap


def require_directory(cap: Cap) -> None:
    """Raises: NotADirectory."""
    if not cap.is_directory:
        raise NotADirectory(f"{cap!r} is not a directory")
