"""A client as a part of an application of Twisted."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from txtahoe.api.client import Client


class TahoeService(Service):
    """
    Closes a client when the application stops, which waits for that.

    A MultiService does not wait for one of its services before it stops the next one. A service
    that needs the client while it stops must derive from this class, and then call this
    `stopService` last.
    """

    def __init__(self, client: Client) -> None:
        self.client = client

    def stopService(self) -> Deferred[None]:
        """Close the client; see `Client.close`."""
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self.client.close())
