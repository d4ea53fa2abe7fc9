"""The grid and the web server of the demo."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.files.base import ContentFile
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

from tahoestorage.demo.folder import DemoError, DemoFolder
from tahoestorage.demo.site import PASSWORD, USER, prepare_site
from txtahoe.testing.grid import Grid, report

CHECKED_BYTES = 10_000_000


def serve(folder: DemoFolder, host: str, port: int) -> None:
    """
    Run a grid and the site on it, until an exception, such as KeyboardInterrupt, stops both.

    Raises: DemoError, GridError, TahoeError, OSError.
    """
    # The port comes first: a user whose port is taken must not wait for the grid to hear of it.
    with _listen(host, port) as server, _site(folder) as gateway:
        server.set_app(StaticFilesHandler(WSGIHandler()))
        url = f"http://{_in_url(host)}:{server.server_port}/"
        print(
            f"The site       {url}",
            f"The admin      {url}admin/  (user {USER}, password {PASSWORD})",
            f"The gateway    {gateway}",
            f"The files, the database and the secrets are in {folder.path}",
            "Ctrl-C stops the demo.",
            sep="\n",
            flush=True,
        )
        server.serve_forever()


def check(folder: DemoFolder) -> None:
    """
    Save a file on a grid, read it back and delete it.

    Raises: DemoError if the file comes back different; GridError, TahoeError, OSError.
    """
    with _site(folder):
        from tahoestorage.demo.models import Document  # needs Django to be set up

        content = os.urandom(CHECKED_BYTES)
        document = Document.objects.create(file=ContentFile(content, "check.bin"))
        name, storage = str(document.file.name), document.file.storage
        print(f"saved      {name}, {document.size:,} bytes", flush=True)
        with storage.open(name) as file:
            if sha256(file.read()).digest() != sha256(content).digest():
                raise DemoError(f"{name} has other bytes than those that were saved")
        print(f"read back  {name}, with the same SHA-256", flush=True)
        document.delete()
        if storage.exists(name):
            raise DemoError(f"{name} is still there after it was deleted")
        print(f"deleted    {name}", flush=True)


@contextmanager
def _site(folder: DemoFolder) -> Iterator[str]:
    """A grid that runs, with the site set up on it: the URL of its gateway."""
    folder.prepare()
    with Grid(folder.grid, progress=report) as grid:
        prepare_site(folder, grid.gateway_urls[0])
        yield grid.gateway_urls[0]


def _listen(host: str, port: int) -> ThreadedWSGIServer:
    try:
        return ThreadedWSGIServer((host, port), WSGIRequestHandler, ipv6=":" in host)
    except OSError as problem:
        if problem.errno != errno.EADDRINUSE:
            raise
        raise DemoError(
            f"Port {port} of {host} is taken, perhaps by a demo that already runs. Choose another"
            f" one, such as --port {port + 1}; --port 0 takes any free port."
        ) from None


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
