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


def _use_the_grid(with_paths: bool) -> None:
    # These look for static files on the disk, whatever the storage of the site.
    import django.contrib.staticfiles.finders
    import django.contrib.staticfiles.storage
    import django.core.files.storage
    from django.core.files.storage import filesystem
    from tahoe_suites.storage import StorageOnGrid

    if with_paths:
        StorageOnGrid.path = lambda self, name: str(self.path_on_disk(name))  # type: ignore
    filesystem.FileSystemStorage = StorageOnGrid  # type: ignore
    django.core.files.storage.FileSystemStorage = StorageOnGrid  # type: ignore


if os.environ["SUITE_STORAGE"] != "local":
    _use_the_grid(os.environ["SUITE_STORAGE"] == "grid with paths")
