"""A site on a loopback port, served by a reactor of its own in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from twisted.internet.pollreactor import PollReactor
from twisted.python import threadable
from twisted.web.resource import IResource

from txtahoe.testing.fake.http.site import quiet_site

_LOOPBACK = "127.0.0.1"


class Loopback:
    """
    Serves a resource from now on until `stop`; `with` gives its URL, and stops it at the end.

    The interpreter does not wait for it when it exits. The global reactor is neither used nor
    installed: `make` gets a private one.
    """

    def __init__(self, make: Callable[[Any], IResource]) -> None:
        self._reactor: Any = PollReactor()
        site = quiet_site(make(self._reactor), self._reactor)
        port = self._reactor.listenTCP(0, site, interface=_LOOPBACK)
        self.url = f"http://{_LOOPBACK}:{port.getHost().port}/"
        # A reactor that starts takes this for itself; it belongs to the application's.
        self._reactor.callWhenRunning(setattr, threadable, "ioThread", threadable.ioThread)
        self._thread = threading.Thread(
            target=self._reactor.run, args=(False,), daemon=True, name="fake gateway"
        )
        self._thread.start()

    def __enter__(self) -> str:
        return self.url

    def __exit__(self, *raised: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the port and the connections, and end the thread."""
        if self._thread.is_alive():
            self._reactor.callFromThread(self._reactor.stop)
            self._thread.join()
            # A reactor is made to last as long as its process, and does not do this itself.
            for waker in self._reactor._internalReaders:
                waker.connectionLost(None)
