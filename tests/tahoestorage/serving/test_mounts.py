"""Mounts: how they are found among the URLs, and the checks of them."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.conf.urls.i18n import i18n_patterns
from django.core.checks import CheckMessage, run_checks
from django.core.files.storage import InMemoryStorage
from django.http import HttpRequest
from django.test import override_settings
from django.urls import include, path, re_path
from django.utils.translation import override as translation
from twisted.trial.unittest import SynchronousTestCase

from tahoestorage.storage import TahoeStorage
from tests.tahoestorage.checks.checked import Document
from tests.tahoestorage.serving.serving_urls import may_read

CAP = "URI:DIR2:aaaqeayeaudaocajbifqydiob4:" + "a" * 52
FILES = "tahoestorage.urls"


async def may_read_later(request: HttpRequest, name: str) -> bool:
    return True


class Reader:
    async def __call__(self, request: HttpRequest, name: str) -> bool:
        return True


def storage(**options: Any) -> dict[str, Any]:
    return {"BACKEND": "tahoestorage.storage.TahoeStorage", "OPTIONS": options}


class MountsTestCase(SynchronousTestCase):
    """A site without a public gateway, whose default storage is served unless a test says more."""

    def setUp(self) -> None:
        override = override_settings(
            TAHOE_STORAGE_BASE_URL="http://127.0.0.1:1/", TAHOE_STORAGE_BASE_CAP=CAP
        )
        override.enable()
        self.addCleanup(override.disable)
        self.patch(Document._meta.get_field("file"), "storage", InMemoryStorage())

    def messages(self, *urls: Any, **settings: Any) -> list[CheckMessage]:
        with override_settings(ROOT_URLCONF=urls, **settings):
            messages = run_checks(tags=["files"])
        for message in messages:
            self.assertTrue(message.hint)
            self.assertNotIn("aaaqeay", str(message))
        return messages

    def ids(self, *urls: Any, **settings: Any) -> list[str]:
        found = self.messages(*urls, **settings)
        return [str(message.id).removeprefix("tahoestorage.") for message in found]


class Finding(MountsTestCase):
    def url(self, *urls: Any, **options: Any) -> str:
        with override_settings(ROOT_URLCONF=urls):
            return TahoeStorage(**options).url("a/f")

    def test_a_mount_can_be_below_other_urls(self) -> None:
        inner = [path("files/", include(FILES))]
        self.assertEqual(self.url(path("a/", include(inner))), "/a/files/a/f")
        named = include((inner, "blog"), namespace="blog")
        self.assertEqual(self.url(path("b/", named)), "/b/files/a/f")
        twice = include((inner, "blog"), namespace="other")
        self.assertEqual(self.url(path("b/", named), path("c/", twice)), "/b/files/a/f")

    def test_arguments_of_an_include_hold_for_all_mounts_below(self) -> None:
        inner = [path("files/", include(FILES))]
        urls = [path("a/", include(inner), {"storage": "private", "permission": may_read})]
        storages = {"default": storage(), "private": storage(location="private")}
        with override_settings(STORAGES=storages):
            self.assertEqual(self.url(*urls, location="private"), "/a/files/a/f")
            self.assertRaises(ValueError, self.url, *urls)

    def test_of_two_mounts_with_one_namespace_the_first_makes_urls(self) -> None:
        storages = {"default": storage(), "other": storage(location="other")}
        urls = [path("a/", include(FILES)), path("b/", include(FILES), {"storage": "other"})]
        with override_settings(STORAGES=storages):
            self.assertEqual(self.url(*urls), "/a/a/f")
            self.assertRaises(ValueError, self.url, *urls, location="other")

    def test_a_url_has_the_language_prefix_of_the_page(self) -> None:
        urls = i18n_patterns(path("files/", include(FILES)))
        for language in ("en", "de"):
            with translation(language):
                self.assertEqual(self.url(*urls), f"/{language}/files/a/f")

    def test_a_mount_below_a_parameter_makes_no_urls(self) -> None:
        for above in (
            path("<slug:tenant>/", include(FILES)),
            path("<int:n>/", include([path("files/", include(FILES))])),
            re_path("(?P<year>[0-9]+)/", include(FILES)),
            re_path("(a|b)/", include(FILES)),
        ):
            self.assertRaises(ValueError, self.url, above)
            plain = path("files/", include(FILES, namespace="plain"))
            self.assertEqual(self.url(above, plain), "/files/a/f")


class Checks(MountsTestCase):
    def test_a_right_mount_passes(self) -> None:
        for urls in (
            [path("files/", include(FILES))],
            [path("files/", include(FILES), {"permission": may_read})],
            [path("a/", include([path("b/", include(FILES))]))],
        ):
            self.assertEqual(self.ids(*urls), [])

    def test_an_argument_that_the_view_does_not_take_is_an_error(self) -> None:
        for urls, name in (
            (path("<slug:tenant>/files/", include(FILES)), "tenant"),
            (path("<str:storage>/", include(FILES)), "storage"),
            (re_path("(?P<year>[0-9]+)/", include(FILES)), "year"),
            (re_path("([0-9]+)/", include(FILES)), "0"),
            (path("files/", include(FILES), {"permision": may_read}), "permision"),
        ):
            message, *others = self.messages(urls)
            self.assertEqual(message.id, "tahoestorage.E021")
            self.assertIn(f"does not take '{name}'", message.msg)
            self.assertIn([other.id for other in others], ([], ["tahoestorage.W001"]))

    def test_another_kind_of_storage_is_an_error(self) -> None:
        memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
        for alias in ("missing", "memory"):
            urls = path("x/", include(FILES), {"storage": alias})
            [message] = self.messages(urls, STORAGES={"default": memory, "memory": memory})
            self.assertEqual(message.id, "tahoestorage.E021")
            self.assertIn(repr(alias), message.msg)
        served = path("x/", include(FILES))
        self.assertEqual(self.ids(served, STORAGES={"default": memory}), [])

    def test_a_mount_that_cannot_serve_does_not_hide_that_files_have_no_url(self) -> None:
        memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
        options = {"tahoe_base_url": "http://127.0.0.1:1/", "tahoe_base_cap": CAP}
        nothing = {"TAHOE_STORAGE_BASE_URL": None, "TAHOE_STORAGE_BASE_CAP": None}
        grid = {"default": memory, "grid": storage(signed_urls=60, **options)}
        forgotten_alias = path("x/", include(FILES))
        self.assertEqual(self.ids(forgotten_alias, STORAGES=grid, **nothing), ["E015", "W001"])

    def test_a_mount_of_a_storage_that_cannot_be_made_is_an_error(self) -> None:
        broken = {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"no_argument": 1},
        }
        grid = {"default": storage(base_url="https://files.example.com/"), "broken": broken}
        served = path("x/", include(FILES), {"storage": "broken"})
        self.assertEqual(self.ids(served, STORAGES=grid), ["E021"])

    def test_an_async_hook_without_asgi_is_reported(self) -> None:
        for hook in (may_read_later, partial(may_read_later), Reader()):
            urls = path("files/", include(FILES), {"permission": hook})
            self.assertEqual(self.ids(urls), ["W023"])
            self.assertEqual(self.ids(urls, ASGI_APPLICATION="site.asgi.application"), [])
        [message] = self.messages(path("x/", include(FILES), {"permission": may_read_later}))
        self.assertIn("tests.tahoestorage.serving.test_mounts.may_read_later", message.msg)

    def test_a_guarded_storage_with_public_urls_is_reported(self) -> None:
        public = "https://files.example.com/"

        def ids(default: Any, private: Any, setting: str | None = None) -> list[str]:
            options = {"storage": "private", "permission": may_read}
            return self.ids(
                path("private/", include(FILES), options),
                STORAGES={
                    "default": storage(location="public", base_url=public, **default),
                    "private": storage(location="private", **private),
                },
                TAHOE_PUBLIC_BASE_URL=setting,
            )

        self.assertEqual(ids({}, {}), [])
        self.assertEqual(ids({}, {"base_url": public}), ["W021"])
        self.assertEqual(ids({"signed_urls": "an hour"}, {}), ["E010"])
        self.assertEqual(ids({}, {}, public), ["W021"])
        self.assertEqual(ids({}, {"base_url": None}, public), [])
        self.assertEqual(ids({}, {"signed_urls": 60}, public), [])
        self.assertEqual(ids({"tahoe_base_cap": CAP[:-1] + "q"}, {}), [])

    def test_another_storage_of_guarded_files_with_public_urls_is_reported(self) -> None:
        ts = TahoeStorage(location="private/docs", base_url="https://files.example.com/")
        self.patch(Document._meta.get_field("file"), "storage", ts)
        options = {"storage": "private"}
        storages = {"default": storage(), "private": storage(location="private", signed_urls=60)}
        mounted = path("private/", include(FILES, namespace="private"), options)
        with override_settings(
            INSTALLED_APPS=["tahoestorage", "tests.tahoestorage.checks.checked"]
        ):
            found = self.messages(path("files/", include(FILES)), mounted, STORAGES=storages)
        first, _ = found
        self.assertEqual(first.id, "tahoestorage.W021")
        self.assertIn("url() of checked.Document.file makes links", first.msg)

    def test_a_public_mount_that_contains_a_guarded_location_is_reported(self) -> None:
        def ids(public: str, private: str, **options: Any) -> list[str]:
            return self.ids(
                path("media/", include(FILES)),
                path(
                    "private/",
                    include(FILES, namespace="private"),
                    {"storage": "private", **({} if options else {"permission": may_read})},
                ),
                STORAGES={
                    "default": storage(location=public),
                    "private": storage(location=private, **options),
                },
            )

        for public, private in (("", "private"), ("a", "a/b"), ("a", "a"), ("/a/", "a/b")):
            self.assertEqual(ids(public, private), ["W022"], (public, private))
            self.assertEqual(ids(public, private, signed_urls=60), ["W022"])
        for public, private in (("public", "private"), ("a/b", "a"), ("a", "ab")):
            self.assertEqual(ids(public, private), [], (public, private))
        self.assertEqual(ids("", "private", tahoe_base_cap=CAP[:-1] + "q", signed_urls=60), [])

    def test_a_storage_with_a_public_and_a_guarded_mount_is_reported(self) -> None:
        guarded = path("some/", include(FILES, namespace="some"), {"permission": may_read})
        self.assertEqual(self.ids(path("all/", include(FILES)), guarded), ["W022"])
