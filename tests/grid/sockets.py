"""How a thread ends what other threads do with a socket."""

from __future__ import annotations

import socket
from contextlib import suppress


def end(*sockets: socket.socket) -> None:
    """
    End all calls that wait for these sockets, now and later.

    Whoever uses a socket closes it, after that: `close` alone wakes nobody, and the kernel gives
    the number to the next socket. A call that still waits then goes on with that one as soon as a
    signal such as SIGCONT restarts it.
    """
    for each in sockets:
        with suppress(OSError):  # nobody is connected to it, or it is closed
            each.shutdown(socket.SHUT_RDWR)
