"""Run a command that does not outlive its parent: `python tether.py PARENT_PID COMMAND…`.

A file of its own, run as a program between the parent and the command, because code that runs
between fork and exec in a process with threads can hang. It replaces itself by the command and
costs about 20 ms.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent: int) -> None:
    """Ask the kernel for SIGKILL when the thread that started this process ends (prctl(2)).

    SIGKILL, because it is the only signal that also ends a process that is stopped. On other
    systems than Linux this does nothing.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it had ended before we could ask
            sys.exit(1)


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606  # the command of our own parent
