"""Files that the site serves, in a real browser."""

from __future__ import annotations

import os
import wave
from io import BytesIO
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.handlers.wsgi import WSGIHandler

from tests.browser import open_browser, start_site, wait
from tests.needs import CHROMIUM, TIME, needs
from tests.tahoestorage.case import StorageTestCase

_RATE = 44_100
_SECONDS = 120


def sound() -> bytes:
    """Two minutes of a sound, about 21 MB, of which no two parts are equal."""
    file = BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(2)
        sound.setsampwidth(2)
        sound.setframerate(_RATE)
        sound.writeframes(os.urandom(4 * _RATE * _SECONDS))
    return file.getvalue()


class Watched:
    """Wrap a WSGI application: note each request and the number of bytes sent."""

    def __init__(self) -> None:
        self._application = WSGIHandler()
        self.asked: list[tuple[str, str]] = []
        self.sent = 0

    def __call__(self, environ: Any, start_response: Any) -> Any:
        def start(status: str, headers: Any, *exc_info: Any) -> Any:
            self.asked.append((environ.get("HTTP_RANGE", ""), status))
            return start_response(status, headers, *exc_info)

        answer = self._application(environ, start)
        try:
            for block in answer:
                self.sent += len(block)
                yield block
        finally:
            answer.close()


@needs(CHROMIUM, TIME)
class Browser(StorageTestCase):
    def setUp(self) -> None:
        super().setUp()
        options = {"tahoe_base_url": self.gateway, "tahoe_base_cap": self.cap}
        backend = {"BACKEND": "tahoestorage.storage.TahoeStorage", "OPTIONS": options}
        self.override(
            ROOT_URLCONF="tests.tahoestorage.serving.one_url",
            ALLOWED_HOSTS=["*"],
            STORAGES={"default": backend},
        )
        self.storage = storages["default"]
        self.site = Watched()
        self.url = start_site(self, self.site)
        self.browser = open_browser(self)

    def wait_for(self, script: str) -> Any:
        return wait(self.browser, lambda browser: browser.execute_script(f"return {script}"))

    def test_a_browser_seeks_in_a_sound(self) -> None:
        data = sound()
        name = self.storage.save("sound.wav", ContentFile(data))
        self.browser.get(self.url + self.storage.url(name))
        player = "document.querySelector('video, audio')"
        # A browser plays a sound from its start when it opens it; this reads the first part only.
        self.assertEqual(round(self.wait_for(f"{player}.duration")), _SECONDS)
        self.browser.execute_script(f"{player}.currentTime = {_SECONDS - 10}")
        self.wait_for(f"!{player}.seeking && {player}.readyState >= 2")
        self.assertGreaterEqual(self.wait_for(f"{player}.currentTime"), _SECONDS - 10)
        ranges = [asked for asked, status in self.site.asked if status.startswith("206")]
        starts = [int(asked.removeprefix("bytes=").split("-")[0]) for asked in ranges]
        self.assertGreater(max(starts), len(data) // 2, self.site.asked)

    def test_a_page_in_a_file_runs_no_script(self) -> None:
        page = b"<p id=p>text</p><script>document.title = 'it ran'</script>"
        self.storage.save("page.html", ContentFile(page))
        self.browser.get(f"{self.url}{self.storage.url('page.html')}")
        self.assertEqual(self.wait_for("document.body.innerText"), "text")
        self.assertNotEqual(self.browser.title, "it ran")
