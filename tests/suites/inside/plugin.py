"""A plugin of pytest: which tests pass, and with which storage."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

OUTCOMES: dict[str, str] = {}


def pytest_collection_finish() -> None:
    # Some tests leave few apps installed, too few for a first import of middleware.
    from django.test.client import ClientHandler

    ClientHandler().load_middleware()


def pytest_runtest_logreport(report: Any) -> None:
    if report.failed:
        OUTCOMES[report.nodeid] = report.longreprtext
    elif report.when == "call" and report.passed:
        OUTCOMES.setdefault(report.nodeid, "")


def pytest_sessionfinish() -> None:
    Path(os.environ["SUITE_OUTCOMES"]).write_text(json.dumps(OUTCOMES))


def _use_the_grid() -> None:
    # These look for static files on the disk, whatever the storage of the site.
    import django.contrib.staticfiles.finders
    import django.contrib.staticfiles.storage
    import django.core.files.storage
    from django.core.files.storage import filesystem
    from tahoe_suites.storage import StorageOnGrid

    filesystem.FileSystemStorage = StorageOnGrid
    django.core.files.storage.FileSystemStorage = StorageOnGrid


if os.environ["SUITE_STORAGE"] == "grid":
    _use_the_grid()
