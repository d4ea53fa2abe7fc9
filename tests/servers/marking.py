"""A proxy that knows which process uses each connection."""

from __future__ import annotations

import re
import socket
from collections import defaultdict

from tests.grid.proxy import Proxy

# In the JSON for a directory; in URLs, other processes name the file too.
_LINK = re.compile(rb'--process-(\d+)\.bin": \["filenode"')


class MarkingProxy(Proxy):
    """A proxy for processes that save files named `…--process-<its id>.bin`."""

    def __init__(self, gateway: str) -> None:
        super().__init__(gateway)
        self._processes: defaultdict[socket.socket, set[int]] = defaultdict(set)

    def sent(self, client: socket.socket, data: bytes) -> None:
        self._processes[client].update(map(int, _LINK.findall(data)))

    @property
    def processes(self) -> set[int]:
        """The processes that have saved files through it."""
        return set().union(*self._processes.values())

    @property
    def has_shared_connections(self) -> bool:
        """Whether two processes have used the same connection."""
        return any(len(processes) > 1 for processes in self._processes.values())
