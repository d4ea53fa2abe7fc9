"""The length of each page, its links, and the languages of its blocks."""

from __future__ import annotations

import re
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.manual.pages import LANGUAGES, README, Page, pages
from tests.manual.python import bound, imports, parse, used

# Names that the settings of the README's site have before a chapter adds its own.
_SETTINGS = {"BASE_DIR", "INSTALLED_APPS", "MIDDLEWARE", "STORAGES"}


class Pages(SynchronousTestCase):
    def test_the_readme_has_at_most_200_lines(self) -> None:
        self.assertLessEqual(len(README.read_text().splitlines()), 200)

    def test_a_chapter_has_at_most_250_lines(self) -> None:
        for page in pages():
            self.assertLessEqual(len(page.text.splitlines()), 250, str(page))

    def test_each_block_says_its_language(self) -> None:
        for page in pages():
            self.assertEqual(page.text.count("```") % 2, 0, str(page))
            for block in page.blocks:
                self.assertIn(block.language, LANGUAGES, block.where)

    def test_each_console_block_has_a_command(self) -> None:
        for page in pages():
            for block in page.blocks_of("console"):
                self.assertTrue(block.code.startswith("$ "), block.where)

    def test_links_lead_to_pages_and_headings(self) -> None:
        for page in pages():
            for link in page.links:
                if re.match(r"https?://", link):
                    continue
                name, _, anchor = link.partition("#")
                target = page.path.parent / name if name else page.path
                self.assertTrue(target.exists(), f"{page}: {link}")
                if anchor:
                    self.assertIn(anchor, Page(target).anchors, f"{page}: {link}")

    def test_the_readme_links_to_every_chapter(self) -> None:
        linked = {(README.parent / link.partition("#")[0]).resolve() for link in Page(README).links}
        chapters = {page.path for page in pages() if page.path.parent.name == "docs"}
        self.assertEqual(chapters - linked, set())


class Python(SynchronousTestCase):
    def test_each_block_uses_only_names_that_the_page_has_defined(self) -> None:
        for page in pages():
            known: set[str] = set()
            for block in page.blocks_of("python"):
                tree = parse(block)
                known |= bound(tree)
                if block.is_at_end and (block.file or "").endswith("settings.py"):
                    known |= _SETTINGS
                self.assertEqual(used(tree) - known, set(), block.where)

    def test_the_imports_of_each_block_run(self) -> None:
        lines = {
            line: block.where
            for page in pages()
            for block in page.blocks_of("python")
            for line in imports(parse(block))
            # It chooses the settings by itself, and starts a gateway.
            if "django.conf" not in line
        }
        tried = "".join(f"run({line!r}, {where!r})\n" for line, where in lines.items())
        done = subprocess.run(
            [sys.executable, "-c", _IMPORTING + tried],
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)


# Models can be imported only of applications that are installed.
_IMPORTING = """
import django
from django.conf import settings
settings.configure(
    SECRET_KEY="a secret",
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.admin",
        "django.contrib.sessions", "django.contrib.messages", "tahoestorage", "easy_thumbnails",
        "filer", "polymorphic"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

def run(line, where):
    try:
        exec(line, {})
    except Exception as error:
        print(f"{where}: {line}: {error!r}")

"""
