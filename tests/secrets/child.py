"""A process that uses the packages and logs all it can: `python -m tests.secrets.child well`."""

from __future__ import annotations

import gc
import json
import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import django
from django.conf import settings
from django.test import override_settings
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import react
from twisted.logger import globalLogBeginner, textFileLogObserver

from tahoestorage.storage import TahoeStorage
from tests.grid.proxy import Proxy
from tests.secrets.test_no_caps import NOWHERE
from txtahoe import Cap, Client, Transport


def _record_caps(path: str) -> None:
    """Write down every cap that is made; the parent looks for them in our output."""
    make, file = Cap.__init__, Path(path).open("a", buffering=1)  # noqa: SIM115 - until the end

    def init(cap: Cap, *arguments: Any, **named: Any) -> None:
        make(cap, *arguments, **named)
        print(str(cap), file=file)

    Cap.__init__ = init  # type: ignore[method-assign]


def well(asked: dict[str, str]) -> None:
    from django.core.files.base import ContentFile

    storage = TahoeStorage(tahoe_base_url=asked["gateway"], tahoe_base_cap=asked["cap"])
    storage.save("a/b", ContentFile(b"x" * 1000))
    with storage.open("a/b") as file:
        print(repr(storage), repr(file), len(file.read()))
    storage.delete("a/b")


def collects(asked: dict[str, str]) -> None:
    from django.contrib.staticfiles.storage import staticfiles_storage
    from django.core.files.base import ContentFile
    from django.core.management import call_command

    proxy = Proxy(asked["gateway"]).__enter__()
    options = {
        "tahoe_base_url": proxy.url,
        "tahoe_base_cap": asked["cap"],
        "base_url": asked["gateway"],
    }
    backend = "tahoestorage.staticfiles.TahoeManifestStaticFilesStorage"
    with TemporaryDirectory() as folder:
        Path(folder, "a.svg").write_text("<svg/>" * 100)
        Path(folder, "a.css").write_text(".a { background: url('a.svg') }" * 10)
        override_settings(
            INSTALLED_APPS=[*settings.INSTALLED_APPS, "django.contrib.staticfiles"],
            STATIC_URL="/static/",
            STATICFILES_DIRS=[folder],
            STATICFILES_FINDERS=["django.contrib.staticfiles.finders.FileSystemFinder"],
            STORAGES={"staticfiles": {"BACKEND": backend, "OPTIONS": options}},
        ).enable()
        call_command("collectstatic", interactive=False, verbosity=3)
    staticfiles_storage.save("late", ContentFile(b"late" * 100))
    proxy.refuse()
    proxy.close_connections()


def dies(asked: dict[str, str]) -> None:
    well(asked)
    TahoeStorage(tahoe_base_url=NOWHERE, tahoe_base_cap=asked["cap"]).exists("x")


def careless(asked: dict[str, str]) -> None:
    well(asked)
    storage = TahoeStorage(tahoe_base_url=asked["gateway"], tahoe_base_cap=asked["cap"])
    file = storage.open("open", "wb")
    file.write(b"never closed")
    del file
    gc.collect()

    async def main(_: object) -> None:
        client = Client(Transport(reactor, NOWHERE, pauses=()))
        ensureDeferred(client.list(Cap.parse(asked["cap"])))
        await client._transport.sleep(0.5)
        gc.collect()

    react(lambda *arguments: ensureDeferred(main(*arguments)))


if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)
    django.setup()
    given = json.load(sys.stdin)
    _record_caps(given["caps"])
    {"well": well, "dies": dies, "careless": careless, "collects": collects}[sys.argv[1]](given)
