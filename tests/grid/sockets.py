"""How a thread ends what other threads do with a socket."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


def end(*sockets: socket.socket) -> None:
    """
    End all calls that wait for these sockets, now and later. The thread that uses a socket closes
    it afterwards.

    `close` wakes no other thread on Linux, and the kernel gives the number to the next socket. A
    call that still waits goes on with that one as soon as a signal such as SIGCONT restarts it.
    """
    for each in sockets:
        with suppress(OSError):  # nobody is connected to it, or it is closed
            each.shutdown(socket.SHUT_RDWR)


def stop_listening(listener: socket.socket, accepting: threading.Thread) -> None:
    """Close a listening socket when the thread that accepts its connections has ended."""
    end(listener)
    accepting.join(timeout=1)  # on macOS only `close` ends `accept`
    listener.close()
