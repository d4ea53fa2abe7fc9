"""The README's quickstart, word for word, on the real grid, up to the first file in a browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.grid.shared import shared_grid
from tests.manual.commands import expected, managed, printed, words_of
from tests.manual.pages import README, Command, Page
from tests.manual.site import add, python_path, start_project
from tests.needs import GRID, TIME, needs

_GATEWAY = re.compile(r"http://127\.0\.0\.1:\d+/(?=\"|$)", re.MULTILINE)
_AS_A_BROWSER = """
import django
django.setup()
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
browser = Client(headers={"host": "localhost"})
browser.force_login(User.objects.get(username="me"))
sent = SimpleUploadedFile("hello.txt", b"Hello, grid. " * 100)
browser.post("/admin/documents/document/add/", {"file": sent})
page = browser.get("/admin/documents/document/1/change/").content.decode()
assert '<a href="/media/documents/hello.txt">' in page, page
shown = Client(headers={"host": "localhost"}).get("/media/documents/hello.txt")
assert b"".join(shown.streaming_content) == b"Hello, grid. " * 100
"""


@needs(GRID, TIME)
class Quickstart(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        start_project(self.folder)
        self.environment = {
            **os.environ,
            "PYTHONPATH": python_path(self.folder),
            "DJANGO_SETTINGS_MODULE": "mysite.settings",
            "DJANGO_SUPERUSER_PASSWORD": "known to this test alone",
        }

    def test_each_step_leads_to_the_next(self) -> None:
        page = Page(README)
        for block in page.blocks_of("python"):
            add(self.folder, block)
        settings = self.folder / "mysite" / "settings.py"
        gateway = shared_grid().gateway_urls[0]
        text, replaced = _GATEWAY.subn(gateway, settings.read_text())
        self.assertEqual(replaced, 1)
        settings.write_text(text)

        commands = [each for block in page.blocks_of("console") for each in block.commands]
        managing = [each for each in commands if managed(words_of(each.line)[0]) is not None]
        before, after = [], []
        for command in managing:
            if "startapp" in command.line or "runserver" in command.line:
                continue
            (after if "tahoe" in command.line and "init" not in command.line else before).append(
                command
            )
        self.assertEqual((len(before), len(after)), (4, 2))
        for command in before:
            self.run_as_written(command)
        self.run_python("-c", _AS_A_BROWSER)
        for command in after:
            self.run_as_written(command)

    def run_as_written(self, command: Command) -> None:
        arguments = managed(words_of(command.line)[0])
        assert arguments is not None
        if "createsuperuser" in arguments:
            arguments.append("--noinput")  # its password comes from the environment
        output = self.run_python("manage.py", *arguments)
        told = f"{command.line}\n{output}"
        self.assertTrue(expected(command).fullmatch(printed(output)), told)

    def run_python(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout
