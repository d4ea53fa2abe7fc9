"""The files of each chapter make a site that passes the checks, and its commands run there."""

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
    is_module,
    is_run,
    managed,
    printed,
    problem_of,
    words_of,
)
from tests.manual.pages import Command, Page, pages
from tests.manual.site import build, python_path
from tests.needs import GRID, TIME, needs
from txtahoe.testing.node import tahoe_command


class Commands(SynchronousTestCase):
    def test_each_command_is_run_or_parsed_or_listed_with_a_reason(self) -> None:
        unknown = [
            f"{block.where}: {words}"
            for page in pages()
            for block in page.blocks_of("console")
            for command in block.commands
            for words in words_of(command.line)
            if managed(words) is None and words[0] not in NOT_RUN and not is_module(words)
        ]
        self.assertEqual(unknown, [])

    def test_each_verb_in_the_manual_has_the_options_shown(self) -> None:
        wrong = []
        for page in pages():
            for found in re.findall(r"manage\.py tahoe ([a-z][^`\n…]*)", page.text):
                text = re.split(r" *(?:[|>#\\;]|&&)", found)[0]
                problem = problem_of(shlex.split(text, comments=True))
                if problem is not None:
                    wrong.append(f"{page}: {text!r}: {problem}")
        self.assertEqual(wrong, [])


@needs(GRID, TIME)
class Nodes(SynchronousTestCase):
    def test_tahoe_accepts_each_command_that_creates_a_node(self) -> None:
        lines = [
            words
            for page in pages()
            for block in page.blocks_of("console")
            for command in block.commands
            for words in words_of(command.line)
            if words[0] == "tahoe" and words[1].startswith("create-")
        ]
        self.assertEqual(len(lines), 3)
        for words in lines:
            words[-1] = self.mktemp()
            done = subprocess.run(
                [*tahoe_command(), *words[1:]],
                capture_output=True,
                text=True,
            )
            self.assertEqual(done.returncode, 0, f"{words}: {done.stdout}{done.stderr}")
            self.assertTrue(Path(words[-1], "tahoe.cfg").exists())


@needs(TIME)
class Chapters(SynchronousTestCase):
    """Each chapter with files or commands has a site of its own."""

    def test_each_site_passes_the_checks_and_each_command_prints_its_output(self) -> None:
        self.failures: list[str] = []
        for page in pages():
            if page.path.parent.parent.name == "tahoestorage":
                self.check_chapter(page)
        self.assertEqual(self.failures, [], "\n\n".join(self.failures))

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
        if results[0]["error"] or "CommandError" in results[0]["output"]:
            self.failures.append(f"{page}: {results[0]}")
        for (where, command, _), result in zip(runs, results[1:], strict=True):
            if not is_as_written(command, result):
                self.failures.append(
                    f"{where}: {command.line}\nprints\n{result['output']}{result['error'] or ''}"
                )

    def run_inside(self, folder: Path, commands: list[list[str]]) -> list[dict[str, Any]]:
        own = (folder / "mysite" / "test_settings.py").exists()
        done = subprocess.run(
            [sys.executable, "-m", "tests.manual.inside"],
            input=json.dumps(commands),
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": python_path(folder),
                "DJANGO_SETTINGS_MODULE": f"mysite.{'test_settings' if own else 'in_memory'}",
            },
            capture_output=True,
            text=True,
            timeout=300,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        results: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
        return results


def is_as_written(command: Command, result: dict[str, Any]) -> bool:
    """Whether a command succeeded and printed the output that the page shows."""
    if result["error"]:
        return False
    is_silent = not command.output.strip() and "CommandError" not in result["output"]
    return is_silent or expected(command).fullmatch(printed(result["output"])) is not None
