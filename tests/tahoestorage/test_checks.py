"""System checks: every mistake in the settings has an id and a hint, and asks no network."""

from __future__ import annotations

from typing import Any

from django.core.checks import run_checks
from django.db import models
from django.test import override_settings
from twisted.trial.unittest import SynchronousTestCase

from tahoestorage.storage import TahoeStorage
from txtahoe import Cap

CAP = "URI:DIR2:aaaqeayeaudaocajbifqydiob4:" + "a" * 52
GOOD = {
    "TAHOE_STORAGE_BASE_URL": "http://127.0.0.1:1/",
    "TAHOE_STORAGE_BASE_CAP": CAP,
    "TAHOE_PUBLIC_BASE_URL": "https://files.example.com/",
}

# As in the design: at import, whatever the settings are.
ts = TahoeStorage()


class Document(models.Model):
    file = models.FileField(upload_to="a/b/c/", storage=ts)

    class Meta:
        app_label = "tahoestorage"


def storage(**options: Any) -> dict[str, Any]:
    backend = "tahoestorage.storage.TahoeStorage"
    return {"STORAGES": {"default": {"BACKEND": backend, "OPTIONS": options}}}


class Checks(SynchronousTestCase):
    def ids(self, **settings: Any) -> list[str]:
        with override_settings(**{**GOOD, **settings}):
            messages = run_checks(tags=["files"])
        for message in messages:
            self.assertTrue(message.hint)
            self.assertNotIn("aaaqeay", str(message))
        return [str(message.id).removeprefix("tahoestorage.") for message in messages]

    def test_good_settings_pass(self) -> None:
        self.assertEqual(self.ids(), [])
        self.assertEqual(self.ids(TAHOE_STORAGE_BASE_URL=["http://a:1", "http://b:1"]), [])

    def test_the_gateway(self) -> None:
        for wrong in (None, "", [], "127.0.0.1:3456", "ftp://h/", 5):
            self.assertEqual(self.ids(TAHOE_STORAGE_BASE_URL=wrong), ["E002"], wrong)

    def test_the_cap(self) -> None:
        verifier = Cap.parse(CAP).verifier
        file = "URI:CHK:aaaqeayeaudaocajbifqydiob4:" + "a" * 52 + ":2:3:1000"
        for wrong in (None, "", "URI:DIR2:oops", file, str(verifier), "unknown", 5, CAP[:-1]):
            self.assertEqual(self.ids(TAHOE_STORAGE_BASE_CAP=wrong), ["E003"], wrong)

    def test_a_cap_that_only_reads(self) -> None:
        reader = str(Cap.parse(CAP).reader)
        self.assertEqual(self.ids(TAHOE_STORAGE_BASE_CAP=reader), ["E005"])

    def test_the_public_address(self) -> None:
        self.assertEqual(self.ids(TAHOE_PUBLIC_BASE_URL=None), ["W001"])
        served = {"ROOT_URLCONF": "tests.tahoestorage.one_url"}
        self.assertEqual(self.ids(TAHOE_PUBLIC_BASE_URL=None, **served), [])
        unserved = {"ROOT_URLCONF": "tests.tahoestorage.no_urls"}
        self.assertEqual(self.ids(TAHOE_PUBLIC_BASE_URL=None, **unserved), ["W001"])
        for wrong in (f"http://h/uri/{CAP}/", "http://h/?t=json"):
            self.assertEqual(self.ids(TAHOE_PUBLIC_BASE_URL=wrong), ["E006"])

    def test_the_options_of_storages(self) -> None:
        self.assertEqual(self.ids(**storage()), [])
        self.assertEqual(self.ids(**storage(locaton="a")), ["E001"])
        self.assertEqual(self.ids(**storage(tahoe_base_cap="URI:DIR2:oops")), ["E003"])
        self.assertEqual(self.ids(**storage(timeout=-1)), ["E004"])
        self.assertEqual(self.ids(**storage(location="../a")), ["E007"])
        self.assertEqual(self.ids(**storage(signed_urls="an hour")), ["E010"])
        for wrong in (0, 3, "yes", 2.5):
            self.assertEqual(self.ids(**storage(fanout=wrong)), ["E016"], wrong)
        self.assertEqual(self.ids(STORAGES={"default": {"BACKEND": "no.such.Storage"}}), [])

    def test_the_cache(self) -> None:
        backends = "django.core.cache.backends"
        caches: dict[str, dict[str, Any]] = {
            "good": {"BACKEND": f"{backends}.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1"},
            "for ever": {"BACKEND": f"{backends}.redis.RedisCache", "TIMEOUT": None},
            "alone": {"BACKEND": f"{backends}.locmem.LocMemCache"},
            "nothing": {"BACKEND": f"{backends}.dummy.DummyCache"},
            "rolled back": {"BACKEND": f"{backends}.db.DatabaseCache", "LOCATION": "table"},
        }
        self.assertEqual(self.ids(CACHES=caches, **storage()), [])
        self.assertEqual(self.ids(CACHES=caches, **storage(cache="good")), [])
        for wrong in ("missing", "", 5, ["good"], {}, CAP):
            self.assertEqual(self.ids(CACHES=caches, **storage(cache=wrong)), ["E008"], wrong)
        for doubtful in ("for ever", "alone", "nothing", "rolled back"):
            self.assertEqual(self.ids(CACHES=caches, **storage(cache=doubtful)), ["W002"])

    def test_a_subclass_may_have_options_of_its_own(self) -> None:
        backend = "tahoestorage.staticfiles.TahoeManifestStaticFilesStorage"
        options = {"location": "static", "manifest_storage": None}
        static = {"BACKEND": backend, "OPTIONS": options}
        self.assertEqual(self.ids(STORAGES={"staticfiles": static}), [])
        options["manifest"] = None
        self.assertEqual(self.ids(STORAGES={"staticfiles": static}), ["E001"])

    def test_every_mistake_is_said_once(self) -> None:
        self.assertEqual(
            self.ids(**dict.fromkeys(GOOD)),
            ["E002", "E003", "W001"],
        )
