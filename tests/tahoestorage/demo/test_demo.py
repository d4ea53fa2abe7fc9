"""`python -m tahoestorage.demo`, as a new user runs it."""

from __future__ import annotations

import atexit
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import redirect_stderr
from functools import cache
from html import unescape
from http.cookiejar import CookieJar
from pathlib import Path
from typing import IO
from unittest import mock
from urllib.error import HTTPError
from urllib.parse import unquote, urlencode
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

import psutil
from django.core.management import CommandError
from PIL import Image
from twisted.trial.unittest import SynchronousTestCase

from tahoestorage.demo.__main__ import command_parser, main
from tahoestorage.demo.server import prepare_folder
from tests.needs import GRID, TIME, needs

SECONDS = 60


def command(*arguments: object, stderr: int | IO[str] = subprocess.PIPE) -> subprocess.Popen[str]:
    """The command, in a process group of its own, as a terminal would start it."""
    return subprocess.Popen(
        [sys.executable, "-m", "tahoestorage.demo", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=stderr,
        encoding="utf-8",
        start_new_session=True,
    )


def outcome(*arguments: object) -> tuple[int, str, str]:
    """The exit status of the command and what it wrote."""
    with command(*arguments) as process:
        try:
            output, errors = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    return process.returncode, output, errors


class Demo:
    """A running demo."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # A pipe that nobody reads would fill up.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = command("--folder", folder, "--port", 0, stderr=self._errors)
        self.announced: list[str] = []
        for line in self.process.stdout:
            self.announced.append(line)
            if line.startswith("Ctrl-C"):
                break
        else:
            raise AssertionError(self.errors)
        self.url = self.announced[0].split()[-1]

    @property
    def errors(self) -> str:
        """The text on standard error."""
        self._errors.seek(0)
        return self._errors.read()

    def interrupt(self, number: int = signal.SIGINT) -> int:
        """The exit status after a signal to the whole group."""
        os.killpg(self.process.pid, number)
        self.process.communicate(timeout=SECONDS)
        return self.process.returncode

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def processes(self) -> list[psutil.Process]:
        """The command that was given the folder, and the nodes in it."""
        return [
            process
            for process in psutil.process_iter(["cmdline", "status"])
            if process.info["status"] != psutil.STATUS_ZOMBIE
            and any(str(self.folder) in word for word in process.info["cmdline"] or ())
        ]


@cache
def shared_demo() -> Demo:
    """One demo for the tests that leave it running."""
    folder = Path(tempfile.mkdtemp(prefix="test-demo-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    demo = Demo(folder)
    atexit.register(demo.interrupt)
    return demo


class Browser:
    """Keeps cookies, follows redirects, and fills in the forms of the page."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 0
        self.page = ""
        self.reached = ""
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))

    def fetch(self, path: str = "", data: bytes | None = None, kind: str = "") -> bytes:
        request = Request(self.url + path, data, {"Content-Type": kind} if kind else {})
        try:
            answer = self._opener.open(request, timeout=SECONDS)
        except HTTPError as error:
            answer = error
        with answer:
            self.status, self.reached = answer.status, answer.url
            return answer.read()

    def open(self, path: str = "") -> None:
        self.page = self.fetch(path).decode()

    def post(self, path: str, data: bytes, kind: str) -> None:
        self.page = self.fetch(path, data, kind).decode()

    def submit(self, path: str, **fields: str) -> None:
        body = urlencode({"csrfmiddlewaretoken": self._token, **fields}).encode()
        self.post(path, body, "application/x-www-form-urlencoded")

    def upload(self, kind: str, name: str, content: bytes) -> None:
        fields = (
            "--limit\r\n"
            'Content-Disposition: form-data; name="csrfmiddlewaretoken"\r\n\r\n'
            f"{self._token}\r\n"
            "--limit\r\n"
            f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        body = fields.encode() + content + b"\r\n--limit--\r\n"
        self.post(f"{kind}/", body, "multipart/form-data; boundary=limit")

    @property
    def message(self) -> str:
        return unescape(" ".join(re.findall(r'<p class="message[^>]*>(.*?)</p>', self.page)))

    def link(self, name: str) -> str:
        """The target of a name in the table."""
        pattern = r'<a href="/(\w+/\d+/)">(?:\s*<img[^>]*>)?\s*' + re.escape(name)
        return re.search(pattern, unescape(self.page))[1]

    @property
    def _token(self) -> str:
        return re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.page)[1]


def picture() -> bytes:
    file = io.BytesIO()
    Image.radial_gradient("L").save(file, "PNG")
    return file.getvalue()


@needs(GRID, TIME)
class SiteTests(SynchronousTestCase):
    """The site of a running demo."""

    def setUp(self) -> None:
        self.demo = shared_demo()
        self.browser = Browser(self.demo.url)
        self.browser.open()

    def test_the_page_has_a_form_and_a_table_for_each_kind(self) -> None:
        self.browser.upload("documents", "any.txt", b"any")
        self.assertEqual(self.browser.status, 200)
        for expected in (
            '<label for="documents-file">',
            '<label for="pictures-file">',
            '<th scope="col" class="name">Name</th>',
            'aria-label="Delete any',
            "3\xa0bytes",
        ):
            self.assertIn(expected, self.browser.page)
        self.assertIn(b"prefers-color-scheme", self.browser.fetch("static/tahoe_demo/style.css"))

    def test_a_file_comes_back_by_its_link(self) -> None:
        content = os.urandom(3_000_000)
        self.browser.upload("documents", "big.bin", content)
        self.assertEqual(self.browser.message, "“big.bin” is on the grid.")
        self.assertIn("2.9\xa0MB", self.browser.page)
        self.assertEqual(self.browser.fetch(self.browser.link("big.bin")), content)
        self.assertRegex(self.browser.reached, r"^http://127.0.0.1:\d+/named/URI:CHK:.*/big.bin$")
        self.browser.open()
        self.assertEqual(self.browser.message, "")

    def test_a_picture_is_shown(self) -> None:
        self.browser.upload("pictures", "round.png", picture())
        link = self.browser.link("round.png")
        self.assertIn(f'<img src="/{link}"', self.browser.page)
        self.assertEqual(self.browser.fetch(link), picture())

    def test_a_deleted_file_is_gone(self) -> None:
        self.browser.upload("documents", "gone.txt", b"x" * 100)
        link = self.browser.link("gone.txt")
        self.browser.submit(f"{link}delete/")
        self.assertEqual(self.browser.message, "“gone.txt” is deleted.")
        self.assertNotIn(f'href="/{link}"', self.browser.page)
        self.browser.open(link)
        self.assertEqual(self.browser.status, 404)

    def test_files_with_odd_names_come_back(self) -> None:
        for number, (name, kept) in enumerate(
            (
                ("späße 100% #1?.txt", "späße_100_1.txt"),
                ("<b>&amp;c.txt", "bc.txt"),
                ("-rf.txt", "-rf.txt"),
                ("日本語.pdf", "日本語.pdf"),
                ("../../climb.txt", "climb.txt"),
                ("n" * 80 + ".txt", "n" * 80 + ".txt"),
            )
        ):
            self.browser.upload("documents", name, b"%d" % number)
            self.assertEqual(self.browser.message, f"“{kept}” is on the grid.")
            self.assertEqual(self.browser.fetch(self.browser.link(kept)), b"%d" % number)
            self.assertEqual(unquote(self.browser.reached).split("/")[-1], kept)

    def test_a_refused_upload_shows_the_reason_at_its_field(self) -> None:
        for kind, name, content, sentence in (
            ("pictures", "text.png", b"text", "Upload a valid image."),
            ("documents", "empty.txt", b"", "The submitted file is empty."),
            ("documents", "n" * 150, b"x", "Ensure this filename has at most 100 characters"),
        ):
            self.browser.upload(kind, name, content)
            self.assertEqual(self.browser.status, 400)
            self.assertRegex(self.browser.page, rf'id="{kind}-file_error"><li>{sentence}')
            self.browser.open()

    def test_a_long_list_has_pages(self) -> None:
        for number in range(21):
            self.browser.upload("documents", f"{number}-of-many.txt", b"x")
        self.assertEqual(len(re.findall(r"/documents/\d+/delete/", self.browser.page)), 20)
        self.assertIn("Page 1 of ", self.browser.page)
        self.browser.open("?documents=2")
        self.assertIn("0-of-many.txt", self.browser.page)

    def test_a_form_without_its_token_is_refused(self) -> None:
        self.browser.page = 'name="csrfmiddlewaretoken" value="forged"'
        self.browser.upload("documents", "forged.txt", b"x")
        self.assertEqual(self.browser.status, 403)

    def test_an_unknown_url_is_not_found(self) -> None:
        for path in ("cats/", "cats/1/", "documents/999999/"):
            self.browser.open(path)
            self.assertEqual(self.browser.status, 404)

    def test_the_admin_lists_and_deletes(self) -> None:
        self.browser.upload("documents", "by-admin.txt", b"x" * 100)
        link = self.browser.link("by-admin.txt")
        number = link.split("/")[1]
        self.browser.open("admin/")
        self.browser.submit("admin/login/?next=/admin/", username="demo", password="demo")
        self.browser.open("admin/tahoe_demo/document/")
        self.assertIn("by-admin", self.browser.page)
        self.browser.open(f"admin/tahoe_demo/document/{number}/change/")
        self.assertIn("/named/URI:CHK:", self.browser.page)
        self.browser.submit(f"admin/tahoe_demo/document/{number}/delete/", post="yes")
        self.assertIn("was deleted successfully", self.browser.page)
        self.browser.open(link)
        self.assertEqual(self.browser.status, 404)

    def test_the_admin_shows_the_grid(self) -> None:
        self.browser.upload("documents", "on-the-grid.txt", b"x" * 100)
        front = self.browser.page
        self.assertIn('href="/admin/tahoestorage/grid/"', front)
        self.browser.open("admin/")
        self.browser.submit("admin/login/?next=/admin/", username="demo", password="demo")
        self.browser.open("admin/tahoestorage/grid/")
        self.assertEqual(self.browser.page.count("✓ connected"), 3)
        self.assertIn("demo/</a>", self.browser.page)
        link = "admin/tahoestorage/grid/node/?path=demo%2Fdocuments%2Fon-the-grid.txt"
        self.assertIn(f'href="/{link}"', front)
        self.browser.open(link)
        self.assertIn("3 of 3 shares are good", self.browser.page)

    def test_the_cap_is_only_in_a_private_file(self) -> None:
        file = self.demo.folder / "tahoe.cap"
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        cap = file.read_text()
        self.assertRegex(cap, "^URI:DIR2:")
        for process in self.demo.processes():
            self.assertNotIn(cap, " ".join(process.cmdline()))
            self.assertNotIn(cap, str(process.environ()))
        self.assertNotIn(cap, "".join(self.demo.announced))

    def test_the_site_passes_the_checks(self) -> None:
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tahoestorage.demo.settings",
            "TAHOE_DEMO_FOLDER": str(self.demo.folder),
            "TAHOE_DEMO_GATEWAY": self.demo.announced[2].split()[-1],
        }
        check = [sys.executable, "-m", "django", "check", "--fail-level", "WARNING"]
        subprocess.check_output(check, env=environment)


@needs(GRID, TIME)
class CommandTests(SynchronousTestCase):
    """Start and stop."""

    def test_a_signal_stops_it_and_the_next_start_finds_the_files(self) -> None:
        folder = Path(self.mktemp()).absolute()
        first = Demo(folder)
        self.addCleanup(first.kill)
        browser = Browser(first.url)
        browser.open()
        browser.upload("documents", "kept.txt", b"kept" * 100)
        self.assertEqual(len(first.processes()), 6)
        self.assertEqual(first.interrupt(signal.SIGINT), 0)
        self.assertEqual(first.processes(), [])

        second = Demo(folder)
        self.addCleanup(second.kill)
        browser = Browser(second.url)
        browser.open()
        self.assertEqual(browser.fetch(browser.link("kept.txt")), b"kept" * 100)
        self.grid_errors_are_sentences(second, browser)
        self.assertEqual(second.interrupt(signal.SIGTERM), 0)
        self.assertNotIn("Traceback", second.errors)
        self.assertEqual(second.processes(), [])

    def grid_errors_are_sentences(self, demo: Demo, browser: Browser) -> None:
        link = browser.link("kept.txt")
        for process in demo.processes():
            if any(word.endswith("gateway-1") for word in process.cmdline()):
                process.kill()
                process.wait()
        for action in (
            lambda: browser.upload("documents", "more.txt", b"more" * 100),
            lambda: browser.submit(f"{link}delete/"),
        ):
            action()
            self.assertEqual(browser.status, 503)
            self.assertIn("no Tahoe-LAFS gateway can be reached", browser.message)
            self.assertIn("kept.txt", browser.page)
        browser.open()
        self.assertEqual(browser.status, 200)

    def test_ctrl_c_ends_it_while_it_imports(self) -> None:
        code = (
            "import os; from tahoestorage.demo import __main__ as demo\n"
            "demo.find_spec = lambda name: os.kill(os.getpid(), 2)\n"
            "demo.main([])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_ctrl_c_ends_it_while_the_grid_starts(self) -> None:
        folder = Path(self.mktemp()).absolute()
        with command("--folder", folder, "--port", 0) as process:
            self.assertEqual(process.stderr.readline(), "0/6 starting introducer\n")
            os.killpg(process.pid, signal.SIGINT)
            output, errors = process.communicate(timeout=SECONDS)
        self.assertEqual((process.returncode, output), (0, ""))
        for line in errors.splitlines():
            self.assertRegex(line, r"^\d/6 ")

    def test_a_taken_port_gets_a_message(self) -> None:
        folder = Path(self.mktemp())
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            status, output, errors = outcome("--folder", folder, "--port", port)
        self.assertEqual((status, output), (1, ""))
        self.assertIn(f"Port {port} of 127.0.0.1 is taken", errors)
        self.assertNotIn("Traceback", errors)
        self.assertFalse(folder.exists())

    def test_a_second_start_in_the_same_folder_gets_a_message(self) -> None:
        demo = shared_demo()
        status, output, errors = outcome("--folder", demo.folder, "--port", 0)
        self.assertEqual((status, output), (1, ""))
        self.assertIn(f"is in use: the process {demo.process.pid} runs the grid in it", errors)
        self.assertNotIn("Traceback", errors)

    def test_a_missing_package_gets_a_message(self) -> None:
        with (
            mock.patch("tahoestorage.demo.__main__.find_spec", return_value=None),
            mock.patch("signal.signal"),
            redirect_stderr(io.StringIO()) as errors,
        ):
            self.assertEqual(main([]), 1)
        self.assertIn("tahoe-lafs and Pillow must be installed", errors.getvalue())
        self.assertIn("pip install 'django-tahoestorage[demo]'", errors.getvalue())

    def test_a_wrong_port_gets_a_message(self) -> None:
        for port in ("65536", "http"):
            with redirect_stderr(io.StringIO()) as errors, self.assertRaises(SystemExit):
                command_parser().parse_args(["--port", port])
            self.assertIn("it must be a whole number from 0 to 65,535", errors.getvalue())

    def test_a_foreign_folder_gets_a_message(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "thesis.txt").touch()
        status, output, errors = outcome("--folder", folder, "--port", 0)
        self.assertEqual((status, output), (1, ""))
        self.assertIn("is not the folder of a demo", errors)
        self.assertNotIn("Traceback", errors)


class FolderTests(SynchronousTestCase):
    """The folder of a demo."""

    def test_it_is_made_for_its_owner_alone(self) -> None:
        folder = Path(self.mktemp()) / "new"
        prepare_folder(folder)
        self.assertEqual(folder.stat().st_mode & 0o777, 0o700)

    def test_an_empty_folder_and_an_earlier_demo_are_taken(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        prepare_folder(folder)
        (folder / "grid").mkdir()
        (folder / "tahoe.cap").touch()
        prepare_folder(folder)

    def test_a_file_and_a_folder_of_something_else_are_refused(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        file = folder / "thesis.txt"
        file.touch()
        for foreign in (file, folder):
            problem = self.assertRaises(CommandError, prepare_folder, foreign)
            self.assertIn("name a new or empty folder", str(problem))
