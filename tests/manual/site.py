"""The Django site of the manual: the README's quickstart, and the blocks of a chapter."""

from __future__ import annotations

from pathlib import Path

from django.core.management import call_command

from tests.manual.pages import README, ROOT, Block, Page

_TEST_SETTINGS = """
from mysite.settings import *
from txtahoe.testing.fake import start_fake_gateway

TAHOE_STORAGE_BASE_URL, TAHOE_STORAGE_BASE_CAP = start_fake_gateway()
TAHOE_STORAGE_BASE_CAP_FILE = TAHOE_STORAGE_WRITER_URL = None
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
CACHES = {
    alias: {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    for alias in {"default", *globals().get("CACHES", ())}
}
for backend in globals().get("STORAGES", {}).values():
    for name in ("tahoe_base_url", "tahoe_base_cap", "tahoe_base_cap_file", "tahoe_writer_url"):
        (backend.get("OPTIONS") or {}).pop(name, None)
"""


def start_project(folder: Path) -> None:
    """Make the files that `startproject` and `startapp` of the quickstart make."""
    (folder / "documents").mkdir(parents=True)
    call_command("startproject", "mysite", str(folder))
    call_command("startapp", "documents", str(folder / "documents"))


def add(folder: Path, block: Block) -> None:
    """Write a block to its file, if it is a file of the site."""
    if block.file is None or "/" not in block.file:
        return
    path = folder / block.file
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text() if block.is_at_end else ""
    path.write_text(before + block.code)


def build(folder: Path, page: Page) -> None:
    """Make the site of the quickstart, with the blocks of a chapter, on a gateway in memory."""
    start_project(folder)
    for source in {README: Page(README), page.path: page}.values():
        for block in source.blocks_of("python"):
            add(folder, block)
    (folder / "mysite" / "in_memory.py").write_text(_TEST_SETTINGS)


def python_path(folder: Path) -> str:
    """A PYTHONPATH with a site, and with this project before installed packages."""
    return f"{folder}:{ROOT}"
