"""The grid, the Django site and the web server of the demo."""

from __future__ import annotations

import errno
import os
import signal
from io import StringIO
from pathlib import Path

import django
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import CommandError, call_command
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

from txtahoe.testing.grid import Grid, GridError, interrupt_once, report

HOST = "127.0.0.1"  # only loopback, because the password is public
USER = PASSWORD = "demo"  # noqa: S105

problems = CommandError, GridError, OSError
"""The errors of `serve`, whose texts say what to do."""


def serve(folder: Path, port: int) -> None:
    """
    Run a grid and the site on it until SIGINT or SIGTERM stops both.

    Raises: KeyboardInterrupt; `problems` if they cannot be started.
    """
    for interrupting in (signal.SIGINT, signal.SIGTERM):
        signal.signal(interrupting, interrupt_once)
    # The port comes first: a user whose port is taken must not wait for the grid to hear of it.
    with _listen(port) as server:
        prepare_folder(folder)
        with Grid(folder / "grid", progress=report) as grid:
            gateway = grid.gateway_urls[0]
            _set_up_site(folder, gateway)
            server.set_app(StaticFilesHandler(WSGIHandler()))
            url = f"http://{HOST}:{server.server_port}/"
            print(
                f"The site       {url}",
                f"The admin      {url}admin/  (user {USER}, password {PASSWORD})",
                f"The gateway    {gateway}",
                f"The files, the database and the secrets are in {folder}",
                "Ctrl-C stops the demo.",
                sep="\n",
                flush=True,
            )
            server.serve_forever()


def prepare_folder(folder: Path) -> None:
    """
    Make the folder of a demo if it is missing.

    Raises: CommandError if the path holds something other than a demo; OSError.
    """
    is_used = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if is_used and not (folder / "grid").is_dir():
        raise CommandError(
            f"{folder} exists and is not the folder of a demo: name a new or empty folder"
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _set_up_site(folder: Path, gateway: str) -> None:
    """Set Django up. The first time, make the site's root directory, its tables and its user."""
    os.environ["TAHOE_DEMO_FOLDER"] = str(folder)
    os.environ["TAHOE_DEMO_GATEWAY"] = gateway
    os.environ["DJANGO_SETTINGS_MODULE"] = "tahoestorage.demo.settings"
    django.setup()
    from django.contrib.auth.models import User  # needs Django to be set up

    if not (folder / "tahoe.cap").exists():
        call_command("tahoe", "init", stdout=StringIO())
    call_command("migrate", run_syncdb=True, verbosity=0)
    if not User.objects.filter(username=USER).exists():
        User.objects.create_superuser(USER, password=PASSWORD)


def _listen(port: int) -> ThreadedWSGIServer:
    try:
        return ThreadedWSGIServer((HOST, port), WSGIRequestHandler)
    except OSError as problem:
        if problem.errno != errno.EADDRINUSE:
            raise
        raise CommandError(
            f"Port {port} of {HOST} is taken, perhaps by a demo that already runs. Choose another"
            f" one, such as --port {port + 1}; --port 0 takes any free port."
        ) from None
