"""Base classes of tests of servers and of single processes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.grid.case import make_directory
from tests.grid.shared import gateways_for
from tests.servers.marking import MarkingProxy
from tests.servers.place import new_site
from tests.servers.servers import Kind, Server
from tests.servers.sites import PATIENCE


class ServerTestCase(SynchronousTestCase):
    """A test with a site on an empty directory of the shared grid."""

    def setUp(self) -> None:
        self.gateway = gateways_for(self)[0]
        self.proxy = MarkingProxy(self.gateway).__enter__()
        self.addCleanup(self.proxy.__exit__)
        self.cap = make_directory(self.gateway)
        self.folder = Path(self.mktemp()).absolute()

    def server(self, kind: Kind, gateway: str | None = None, **environment: str) -> Server:
        """A server, not started yet, of a site without documents."""
        site = new_site(self.folder, gateway or self.proxy.url, self.cap)
        return Server(kind, self.folder, {**site, **environment})

    def run_script(self, *parts: str) -> str:
        """The output of a process that runs `parts`, one after the other, beside the site."""
        site = new_site(self.folder, self.proxy.url, self.cap)
        process = subprocess.run(
            [sys.executable, "-c", "".join(map(textwrap.dedent, parts))],
            cwd=self.folder,
            env={**os.environ, **site},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual(process.returncode, 0, process.stdout)
        return process.stdout
