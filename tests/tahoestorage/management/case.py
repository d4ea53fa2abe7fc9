"""The base of tests of `manage.py tahoe`."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command

from tahoestorage.care.wholetree import WholeTree
from tests.tahoestorage.case import StorageTestCase
from txtahoe import Cap


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


class CommandTestCase(StorageTestCase):
    """A test with a storage, and a folder of this machine."""

    def setUp(self) -> None:
        super().setUp()
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.use()

    def use(self, **options: Any) -> None:
        """Make a storage with more options the default one."""
        given = {"tahoe_base_url": self.gateway, "tahoe_base_cap": self.cap, **options}
        backend = {"BACKEND": "tahoestorage.storage.TahoeStorage", "OPTIONS": given}
        self.override(STORAGES={"default": backend})
        self.storage = storages["default"]

    def save(self, **contents: bytes) -> None:
        """Save files; in their names `__` is for a slash."""
        names = {name.replace("__", "/"): content for name, content in contents.items()}
        self.storage.save_many((name, ContentFile(names[name])) for name in names)

    def cap_of(self, name: str) -> Cap:
        """The cap that a name leads to."""
        whole = WholeTree.of(self.storage)
        return whole.run(lambda tree, _: tree.resolve(name)).cap

    def run_verb(self, *arguments: str) -> str:
        """The output of a verb."""
        printed = StringIO()
        call_command("tahoe", *arguments, stdout=printed, stderr=printed)
        return printed.getvalue()

    def lines(self, *arguments: str) -> list[str]:
        return self.run_verb(*arguments).splitlines()

    def told(self, *arguments: str) -> Any:
        """The JSON output of a verb."""
        return json.loads(self.run_verb(*arguments, "--json"))

    def fail_verb(self, *arguments: str, status: int = 1) -> str:
        """The output and the error of a verb that must end with a status."""
        printed = StringIO()
        try:
            call_command("tahoe", *arguments, stdout=printed, stderr=printed)
        except CommandError as error:
            self.assertEqual(error.returncode, status)
            return f"{printed.getvalue()}{error}"
        raise AssertionError(f"it did not fail: {printed.getvalue()}")
