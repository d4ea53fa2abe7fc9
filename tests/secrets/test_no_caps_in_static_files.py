"""No cap in output of the storages of static files: their pending files and their manifest."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage
from django.test import override_settings

from tahoestorage.staticfiles import TahoeManifestStaticFilesStorage, TahoeStaticFilesStorage
from tests.grid import strangers
from tests.grid.proxy import Proxy
from tests.secrets.test_no_caps import NOWHERE, echo
from tests.secrets.test_no_caps_in_the_storage import StorageSecretsTestCase, operations
from tests.secrets.test_search import new_cap
from txtahoe import Cap

_CONTENTS = {
    "css/a.css": '.a { background: url("../img/a.svg") }',
    "css/b.css": '@import "a.css";',
    "css/wrong.css": '.a { background: url("../img/missing.svg") }',
    "img/a.svg": "<svg/>" * 100,
}


def looks(storage: TahoeStaticFilesStorage) -> dict[str, Callable[[], Any]]:
    """The operations whose errors alone are collected: a URL has a cap."""

    def url(name: str) -> None:
        storage.url(name)

    return {
        "url": lambda: url("css/b.css"),
        "url of what is in no manifest": lambda: url("new.css"),
    }


def changes(storage: TahoeStaticFilesStorage) -> dict[str, Callable[[], Any]]:
    """The operations that differ from other storages."""
    source = InMemoryStorage()
    for name, content in _CONTENTS.items():
        source.save(name, ContentFile(content.encode() * 10))

    def save(name: str) -> None:
        with source.open(name) as file:
            storage.save(name, file)

    def collect(*names: str) -> None:
        """Save as `collectstatic` does."""
        for name in names:
            save(name)
        for _, _, processed in storage.post_process({name: (source, name) for name in names}):
            if isinstance(processed, Exception):
                raise processed

    return {
        "save of a style sheet": lambda: save("css/a.css"),
        "save in the place of a directory": lambda: save("css"),
        "exists of what is pending": lambda: storage.exists("css/a.css"),
        "listdir of what is pending": lambda: storage.listdir("css"),
        "flush": storage.flush,
        "post_process": lambda: collect("css/a.css", "css/b.css", "img/a.svg"),
        "post_process of a file that is missing": lambda: collect("css/wrong.css", "img/a.svg"),
        **looks(storage),
        "delete of what is in the manifest": lambda: storage.delete("css/a.css"),
        "flush of what is deleted": storage.flush,
    }


def all_operations(storage: TahoeStaticFilesStorage) -> dict[str, Callable[[], Any]]:
    return operations(storage) | changes(storage)


class StaticFiles(StorageSecretsTestCase):
    backend = TahoeStaticFilesStorage
    operations = staticmethod(changes)

    def setUp(self) -> None:
        super().setUp()
        override = override_settings(STATIC_URL="/static/")
        override.enable()
        self.addCleanup(override.disable)

    def new_storage(self, **options: Any) -> Any:
        storage: Any = super().new_storage(**options)
        self.addCleanup(storage._tree.discard)  # else this process would save it when it exits
        return storage

    def test_when_all_is_well(self) -> None:
        storage = self.new_storage()
        storage.save_many((name, ContentFile(os.urandom(5000))) for name in ("here", "a/here"))
        self.attempt_all(storage, "well", self.operations)
        self.assert_no_leaks()

    def test_with_no_gateway(self) -> None:
        self.attempt_all(self.new_storage(tahoe_base_url=NOWHERE), "no gateway", changes)
        self.assert_no_leaks()


class ManifestStaticFiles(StaticFiles):
    backend = TahoeManifestStaticFilesStorage
    operations = staticmethod(all_operations)

    def test_with_a_read_cap(self) -> None:
        reader = str(Cap.parse(self.cap).reader)
        self.attempt_all(self.new_storage(tahoe_base_cap=reader), "read-only", changes)
        self.assert_no_leaks()

    def test_with_strangers_in_the_place_of_the_gateway(self) -> None:
        for name, behave in {
            "a stranger that hangs up": strangers.hang_up,
            "a stranger that names what is asked for": echo,
        }.items():
            with strangers.stranger(behave) as url:
                storage = self.new_storage(tahoe_base_url=url, timeout=0.1)
                self.attempt_all(storage, name, changes)
        self.assert_no_leaks()

    def test_when_answers_are_lost(self) -> None:
        with Proxy(self.gateway) as proxy:
            for method in ("PUT", "GET", "POST"):
                storage = self.new_storage(tahoe_base_url=proxy.url)
                for name, operation in changes(storage).items():
                    proxy.lose_answer(f"{method} /uri")
                    self.attempt(operation, f"{name}, lost answer to {method}")
        self.assert_no_leaks()

    def test_when_the_gateway_goes_while_changes_are_pending(self) -> None:
        with Proxy(self.gateway) as proxy:
            storage = self.new_storage(tahoe_base_url=proxy.url)
            storage.save("css/a.css", ContentFile(b"a" * 100))
            proxy.refuse()
            proxy.close_connections()
            self.attempt_all(storage, "a gateway that goes", changes)
        self.assert_no_leaks()

    def test_with_a_manifest_that_is_wrong(self) -> None:
        cap = str(new_cap("CHK", ":2:3:6000"))
        paths, caps = {"css/b.css": "css/b.1.css"}, {"css/b.1.css": cap}
        manifest = {"paths": paths, "version": "1.1", "hash": "", "caps": caps}
        good = json.dumps(manifest)
        for trouble, text in {
            "a manifest that is cut short": good[:-9],
            "a manifest with more behind it": f"{good}{cap}",
            "a manifest in a list": f"[{good}]",
            "a manifest of another version": good.replace("1.1", cap),
            "a manifest with a list of caps": json.dumps({**manifest, "caps": [cap]}),
            "a manifest with a cap that is cut short": good.replace(cap, cap[:-9]),
            "a manifest with a cap that can write": good.replace(cap, str(new_cap())),
        }.items():
            kept = InMemoryStorage()
            kept.save("staticfiles.json", ContentFile(text.encode()))
            storage = self.new_storage(manifest_storage=kept)
            self.look_at_error_page(storage, trouble)
            self.attempt_all(storage, trouble, looks)
        self.assert_no_leaks()

    def look_at_error_page(self, storage: Any, trouble: str) -> None:
        """The page shows the variables of all frames, also of those that are not the packages'."""
        try:
            url = storage.url("css/b.css")
        except Exception as error:
            shown = traceback.TracebackException.from_exception(error, capture_locals=True)
            self.collector.text("".join(shown.format()), f"{trouble}: error page")
        else:
            # The file is looked for by its name, and is missing.
            self.assertIn("/missing/", url, trouble)
