"""The base of the tests of files that a site serves."""

from __future__ import annotations

from typing import Any

from django.core.files.storage import storages
from django.test import Client

from tests.tahoestorage.case import StorageTestCase


class ServingTestCase(StorageTestCase):
    """A site with three storages, each of which it serves."""

    backend = "tahoestorage.storage.TahoeStorage"
    middleware: tuple[str, ...] = ()

    def setUp(self) -> None:
        super().setUp()

        def storage(**options: Any) -> dict[str, Any]:
            options = {"tahoe_base_url": self.gateway, "tahoe_base_cap": self.cap, **options}
            return {"BACKEND": self.backend, "OPTIONS": options}

        self.override(
            ROOT_URLCONF="tests.tahoestorage.serving.serving_urls",
            ALLOWED_HOSTS=["*"],
            MIDDLEWARE=list(self.middleware),
            STORAGES={
                "default": storage(),
                "private": storage(location="private"),
                "signed": storage(location="signed", signed_urls=100),
            },
        )
        self.storage: Any = storages["default"]
        self.client = Client()

    def get(self, url: str, **headers: str) -> Any:
        return self.client.get(url, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def body(self, response: Any) -> bytes:
        return b"".join(response.streaming_content) if response.streaming else response.content
