"""A real browser, and a site for it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any

from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from twisted.trial.unittest import SynchronousTestCase


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def start_site(test: SynchronousTestCase, application: Any, **options: Any) -> str:
    """The URL at which a WSGI application is served until the end of the test."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), _Quiet, **options)
    server.set_app(application)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    test.addCleanup(server.server_close)
    test.addCleanup(server.shutdown)
    return f"http://127.0.0.1:{server.server_port}"


def open_browser(test: SynchronousTestCase) -> Any:
    """A browser without a window, until the test ends. The test says that it needs CHROMIUM."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    paths = shutil.which("chromium"), shutil.which("chromedriver")
    folder = TemporaryDirectory()
    test.addCleanup(folder.cleanup)
    options = ChromeOptions()
    options.binary_location = paths[0]
    for argument in (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "mute-audio",
        f"user-data-dir={folder.name}",
    ):
        options.add_argument(f"--{argument}")
    browser = Chrome(options, Service(paths[1]))
    test.addCleanup(browser.quit)
    return browser


def wait(browser: Any, until: Callable[[Any], Any]) -> Any:
    """Ask `until` about the browser, for a minute at most, until it gives something true."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 60).until(until)
