"""Chapters: their files make a site that passes Django's checks, and their commands run there."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.manual.commands import (
    NOT_RUN,
    expected,
    is_run,
    managed,
    parse_module,
    parse_verb,
    printed,
    words_of,
)
from tests.manual.pages import README, Command, Page, pages
from tests.manual.site import build, python_path


class Commands(SynchronousTestCase):
    def test_each_one_is_run_or_parsed_or_listed_with_a_reason(self) -> None:
        for page in pages():
            for block in page.blocks_of("console"):
                for command in block.commands:
                    for words in words_of(command.line):
                        self.assertTrue(self.is_known(words), f"{block.where}: {words}")

    def is_known(self, words: list[str]) -> bool:
        arguments = managed(words)
        if arguments is not None:
            return True
        if words[:2] == ["python", "-m"]:
            return parse_module(words) or words[2] in ("venv", "django", "twisted.trial", "tests.suites")
        return words[0] in NOT_RUN or words[0] == "python"

    def test_each_verb_that_is_named_anywhere_has_these_options(self) -> None:
        for page in pages():
            for found in re.findall(r"manage\.py tahoe ([a-z][^`\n…]*)", page.text):
                text = re.split(r" *(?:[|>#\\;]|&&)", found)[0]
                arguments = shlex.split(text, comments=True)
                try:
                    parse_verb(arguments)
                except Exception as error:
                    # Text names a verb alone; its own arguments may be left out there.
                    if len(arguments) > 1 or "required" not in str(error):
                        raise AssertionError(f"{page}: {text!r}: {error}") from error


class Chapters(SynchronousTestCase):
    """A test for each chapter with files or commands of the site."""

    def test_sites(self) -> None:
        for page in pages():
            if page.path.parent.parent.name == "tahoestorage":
                self.check_chapter(page)

    def check_chapter(self, page: Page) -> None:
        commands = [
            (block.where, command, managed(words_of(command.line)[0]))
            for block in page.blocks_of("console")
            for command in block.commands
        ]
        runs = [
            (where, command, arguments)
            for where, command, arguments in commands
            if arguments is not None and is_run(arguments)
        ]
        has_files = any("/" in (block.file or "") for block in page.blocks_of("python"))
        if not runs and not has_files:
            return
        folder = Path(self.mktemp()).absolute()
        build(folder, page)
        check = ["check", "--fail-level", "WARNING"]
        results = self.run_inside(folder, [check, *(arguments for _, _, arguments in runs)])
        self.assertIsNone(results[0]["error"], f"{page}: {results[0]}")
        self.assertNotIn("CommandError", results[0]["output"], str(page))
        for (where, command, _), result in zip(runs, results[1:], strict=True):
            self.check_output(where, command, result)

    def check_output(self, where: str, command: Command, result: dict[str, Any]) -> None:
        self.assertIsNone(result["error"], f"{where}: {command.line}: {result}")
        if command.output.strip() or "CommandError" in result["output"]:
            self.assertTrue(
                expected(command).fullmatch(printed(result["output"])),
                f"{where}: {command.line}\nprints\n{result['output']}",
            )

    def run_inside(self, folder: Path, commands: list[list[str]]) -> list[dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, "-m", "tests.manual.inside"],
            input=json.dumps(commands),
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": python_path(folder),
                "DJANGO_SETTINGS_MODULE": "mysite.in_memory",
            },
            capture_output=True,
            text=True,
            timeout=300,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        results: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
        return results


class Quickstart(SynchronousTestCase):
    def test_the_readme_has_one(self) -> None:
        files = {block.file for block in Page(README).blocks_of("python")}
        self.assertIn("documents/models.py", files)
