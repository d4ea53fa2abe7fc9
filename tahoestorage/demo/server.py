"""The web server of the site."""

from __future__ import annotations

import errno
from contextlib import ExitStack

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

from tahoestorage.demo.folder import DemoError, DemoFolder
from tahoestorage.demo.progress import Progress
from tahoestorage.demo.site import PASSWORD, USER, prepare_site
from txtahoe.testing.grid import Grid


def serve(folder: DemoFolder, host: str, port: int) -> None:
    """
    Run a grid and the site on it, until an exception, such as KeyboardInterrupt, stops both.

    Raises: DemoError, GridError, TahoeError, OSError.
    """
    with ExitStack() as stack:
        # Before the grid, so that whoever has to choose another port is told so at once.
        server = stack.enter_context(_listen(host, port))
        folder.prepare()
        with Progress(own_steps=1) as progress:
            grid = stack.enter_context(Grid(folder.grid, progress=progress.grid))
            progress.step("preparing the site")
            prepare_site(folder, grid.gateway_urls[0])
        server.set_app(StaticFilesHandler(WSGIHandler()))
        _announce(folder, f"http://{_in_url(host)}:{server.server_port}/", grid)
        server.serve_forever()


def _listen(host: str, port: int) -> ThreadedWSGIServer:
    try:
        return ThreadedWSGIServer((host, port), WSGIRequestHandler, ipv6=":" in host)
    except OSError as problem:
        if problem.errno != errno.EADDRINUSE:
            raise
        raise DemoError(
            f"Port {port} of {host} is taken, perhaps by a demo that runs already. Another one,"
            f" such as --port {port + 1}, may be free; --port 0 takes one that is."
        ) from None


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _announce(folder: DemoFolder, url: str, grid: Grid) -> None:
    lines = [
        f"The site       {url}",
        f"The admin      {url}admin/  (user {USER}, password {PASSWORD})",
        f"The gateway    {grid.gateway_urls[0]}",
        f"All is kept in {folder.path}",
        "Ctrl-C stops it.",
    ]
    print(*lines, sep="\n", flush=True)
