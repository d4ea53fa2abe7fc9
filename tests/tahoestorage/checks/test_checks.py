"""System checks that ask no network: every mistake in the settings has an id and a hint."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.core.cache.backends.db import DatabaseCache
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import DefaultStorage, InMemoryStorage
from django.test import override_settings
from django.utils.functional import lazystr
from django.views.debug import ExceptionReporter
from twisted.trial.unittest import SynchronousTestCase

from tahoestorage import conf
from tahoestorage.redaction.reporter import RedactingExceptionReporter
from tahoestorage.staticfiles import TahoeManifestStaticFilesStorage, TahoeStaticFilesStorage
from tahoestorage.storage import TahoeStorage
from tests.grid.certificates import Authority
from tests.tahoestorage.checks.checked import Document, ts
from txtahoe import Cap

CAP = "URI:DIR2:aaaqeayeaudaocajbifqydiob4:" + "a" * 52
GOOD = {
    "TAHOE_STORAGE_BASE_URL": "http://127.0.0.1:1/",
    "TAHOE_STORAGE_BASE_CAP": CAP,
    "TAHOE_PUBLIC_BASE_URL": "https://files.example.com/",
}


def storage(**options: Any) -> dict[str, Any]:
    backend = "tahoestorage.storage.TahoeStorage"
    return {"STORAGES": {"default": {"BACKEND": backend, "OPTIONS": options}}}


class InDatabase(DatabaseCache):
    pass


class OwnUrl(TahoeManifestStaticFilesStorage):
    base_url = "https://files.example.com/"  # type: ignore[assignment]


class Mixed(ManifestFilesMixin, TahoeStorage):  # type: ignore[misc]
    """A class as Django's manual writes it."""


class Checks(SynchronousTestCase):
    def setUp(self) -> None:
        apps = [*settings.INSTALLED_APPS, "tests.tahoestorage.checks.checked"]
        override = override_settings(INSTALLED_APPS=apps)
        override.enable()
        self.addCleanup(override.disable)

    def ids(self, **settings: Any) -> list[str]:
        with override_settings(**{**GOOD, **settings}):
            messages = self.messages = run_checks(tags=["files"])
        for message in messages:
            self.assertTrue(message.hint)
            self.assertTrue(message.obj, message)
            self.assertNotIn("aaaqeay", str(message))
        return [str(message.id).removeprefix("tahoestorage.") for message in messages]

    def test_good_settings_pass(self) -> None:
        self.assertEqual(self.ids(), [])
        self.assertEqual(self.ids(TAHOE_STORAGE_BASE_URL=["http://a:1", "http://b:1"]), [])

    def test_a_gateway_that_is_missing_or_wrong(self) -> None:
        for wrong in (None, "", [], "127.0.0.1:3456", "ftp://h/", 5):
            self.assertEqual(self.ids(TAHOE_STORAGE_BASE_URL=wrong), ["E002"], wrong)

    def test_a_message_tells_the_wrong_port_of_a_gateway(self) -> None:
        url = "http://127.0.0.1:99999/"
        self.assertEqual(self.ids(TAHOE_STORAGE_BASE_URL=url), ["E002"])
        with self.assertRaisesRegex(ImproperlyConfigured, "tahoe_base_url.*not 99999"):
            conf.gateways({"tahoe_base_url": url})

    def test_a_gateway_with_more_than_its_address(self) -> None:
        address = "http://127.0.0.1:1/"
        for more in ("uri", f"uri/{CAP}", "?t=json", "prefix/cap/"):
            self.assertEqual(self.ids(TAHOE_STORAGE_BASE_URL=address + more), ["E013"], more)
        self.assertEqual(self.ids(TAHOE_STORAGE_WRITER_URL=f"{address}uri/"), ["E013"])
        self.assertEqual(self.ids(TAHOE_STORAGE_BASE_URL=f"{address}prefix/"), [])

    def test_a_socket_is_an_address(self) -> None:
        for good in ("unix:/run/tahoe/gateway.sock", "unix:///run/uri"):
            self.assertEqual(self.ids(TAHOE_STORAGE_BASE_URL=good), [], good)
        self.assertEqual(self.ids(TAHOE_STORAGE_BASE_URL="unix:gateway.sock"), ["E002"])
        self.assertIn("whole path", self.messages[0].msg)

    def test_files_and_credentials_for_gateways_that_are_missing_or_wrong(self) -> None:
        file = Path(self.mktemp()).absolute()
        file.touch(0o600)
        for name in ("CA_FILE", "CLIENT_CERTIFICATE"):
            for wrong in ("/nowhere", file, 5, b"/f"):
                self.assertEqual(self.ids(**{f"TAHOE_STORAGE_{name}": wrong}), ["E026"], wrong)
        for wrong in ("file:/nowhere", f"file:{file}", "env:NOT_SET_ANYWHERE", "s3cret", 5):
            self.assertEqual(self.ids(TAHOE_STORAGE_AUTHORIZATION=wrong), ["E026"], wrong)
            self.assertNotIn("s3cret", str(self.messages))
        file.write_text("s3cret")
        for good in (f"file:{file}", lazystr(f" file:{file}"), "env:PATH"):
            self.assertEqual(self.ids(TAHOE_STORAGE_AUTHORIZATION=good), [], good)

    def test_files_of_credentials_that_others_can_read(self) -> None:
        key, token = (Path(self.mktemp()).absolute() for _ in range(2))
        authority = Authority(Path(self.mktemp()).absolute())
        authority.issue(key).chmod(0o640)
        token.write_text("token")
        given = {
            "TAHOE_STORAGE_CA_FILE": authority.file,
            "TAHOE_STORAGE_CLIENT_CERTIFICATE": key,
            "TAHOE_STORAGE_AUTHORIZATION": f"file:{token}",
        }
        self.assertEqual(self.ids(**given), ["W004", "W004"])
        key.chmod(0o600)
        token.chmod(0o400)
        self.assertEqual(self.ids(**given), [])

    def test_a_cap_that_is_missing_not_a_str_or_wrong(self) -> None:
        verifier = Cap.parse(CAP).verifier
        file = "URI:CHK:aaaqeayeaudaocajbifqydiob4:" + "a" * 52 + ":2:3:1000"
        for missing in (None, ""):
            self.assertEqual(self.ids(TAHOE_STORAGE_BASE_CAP=missing), ["E003"])
        for no_text in (5, [CAP], Path(CAP)):
            self.assertEqual(self.ids(TAHOE_STORAGE_BASE_CAP=no_text), ["E023"], no_text)
            self.assertEqual(self.ids(**storage(tahoe_base_cap=no_text)), ["E023"], no_text)
        for wrong in ("URI:DIR2:oops", file, str(verifier), "unknown", CAP[:-1]):
            self.assertEqual(self.ids(TAHOE_STORAGE_BASE_CAP=wrong), ["E024"], wrong)

    def test_a_read_cap(self) -> None:
        reader = str(Cap.parse(CAP).reader)
        self.assertEqual(self.ids(TAHOE_STORAGE_BASE_CAP=reader), ["W012"])

    def test_a_public_address_that_is_missing_or_wrong(self) -> None:
        self.assertEqual(self.ids(TAHOE_PUBLIC_BASE_URL=None), ["W001"])
        served = {"ROOT_URLCONF": "tests.tahoestorage.serving.one_url"}
        self.assertEqual(self.ids(TAHOE_PUBLIC_BASE_URL=None, **served), [])
        unserved = {"ROOT_URLCONF": "tests.tahoestorage.serving.no_urls"}
        self.assertEqual(self.ids(TAHOE_PUBLIC_BASE_URL=None, **unserved), ["W001"])
        for wrong in (
            f"http://h/uri/{CAP}/",
            "http://h/?t=json",
            "http://h/#files",
            "https://user:password@h/",
            "https://h/uri",
            "https://h/prefix/named/",
        ):
            self.assertEqual(self.ids(TAHOE_PUBLIC_BASE_URL=wrong), ["E006"], wrong)
        for wrong in (
            "https://[::1/",
            "files.example.com",
            "ftp://h/",
            "https:/h/",
            "https://h /",
            "https://h:x/",
            5,
        ):
            self.assertEqual(self.ids(TAHOE_PUBLIC_BASE_URL=wrong), ["E012"], wrong)
        good: Any
        for good in (
            "/files/",
            "//files.example.com/",
            "https://h/uri/files",
            "HTTP://h:8080",
            " https://h/\n",
            lazystr("https://h/"),
        ):
            self.assertEqual(self.ids(TAHOE_PUBLIC_BASE_URL=good), [], good)

    def test_a_public_address_on_this_machine(self) -> None:
        for gateway in ("http://127.0.0.1:1", "http://localhost:1/files/"):
            self.assertEqual(self.ids(TAHOE_PUBLIC_BASE_URL=gateway), ["W003"])
            self.assertEqual(self.ids(TAHOE_PUBLIC_BASE_URL=gateway, DEBUG=True), [])
        for here in ("http://127.0.0.1:2/", "http://[::1]/", "http://files.localhost/"):
            self.assertEqual(self.ids(TAHOE_PUBLIC_BASE_URL=here), ["W005"])
        same = "http://gateway.example.com/"
        given = {"TAHOE_STORAGE_BASE_URL": [GOOD["TAHOE_STORAGE_BASE_URL"], same[:-1] + ":80"]}
        self.assertEqual(self.ids(TAHOE_PUBLIC_BASE_URL=same, **given), ["W003"])

    def test_a_public_address_without_https_for_a_site_with_https(self) -> None:
        plain = {"TAHOE_PUBLIC_BASE_URL": "http://files.example.com/"}
        for name in ("SECURE_SSL_REDIRECT", "SECURE_HSTS_SECONDS", "SESSION_COOKIE_SECURE"):
            self.assertEqual(self.ids(**plain, **{name: 1}), ["W007"])
            self.assertEqual(self.ids(**{name: 1}), [])
        self.assertEqual(self.ids(**plain), [])

    def test_options_of_storages(self) -> None:
        self.assertEqual(self.ids(**storage()), [])
        self.assertEqual(self.ids(**storage(locaton="a")), ["E001"])
        self.assertEqual(self.ids(**storage(tahoe_base_cap="URI:DIR2:oops")), ["E024"])
        self.assertEqual(self.ids(**storage(timeout=-1)), ["E004"])
        self.assertEqual(self.ids(**storage(location="../a")), ["E007"])
        for wrong in (5, ["a"], "a\ud800"):
            self.assertEqual(self.ids(**storage(location=wrong)), ["E007"])
        for wrong in ("False", 0, "yes"):
            self.assertEqual(self.ids(**storage(allow_overwrite=wrong)), ["E014"])
        self.assertEqual(self.ids(**storage(signed_urls="an hour")), ["E010"])
        self.assertEqual(self.ids(**storage(signed_urls=3600)), ["E015"])
        served = {"ROOT_URLCONF": "tests.tahoestorage.serving.one_url"}
        # The model's storage makes links to the same files, and they do not end.
        self.assertEqual(self.ids(**storage(signed_urls=3600), **served), ["W021"])
        self.assertEqual(self.ids(**storage(signed_urls=3600, location="a"), **served), [])
        for wrong in (0, 3, "yes", 2.5):
            self.assertEqual(self.ids(**storage(fanout=wrong)), ["E016"], wrong)
        for wrong in ("no.such.function", "tests.settings.SECRET_KEY", 7):
            self.assertEqual(self.ids(**storage(observer=wrong)), ["E020"], wrong)
        self.assertEqual(self.ids(STORAGES={"default": {"BACKEND": "no.such.Storage"}}), [])

    def test_content_caches(self) -> None:
        with TemporaryDirectory() as above:
            folder = Path(above) / "cache"
            for good in (
                folder,
                str(folder),
                {"path": folder, "max_bytes": 1, "max_file_bytes": 1},
            ):
                self.assertEqual(self.ids(**storage(content_cache=good)), [])
            self.assertFalse(folder.exists())
            for wrong in (5, "", {}, {"path": 5}, {"path": folder, "max_bytes": "1"}, {"max": 1}):
                self.assertEqual(self.ids(**storage(content_cache=wrong)), ["E027"], wrong)
            for useless in (folder / "below", Path(above, "file") / "below"):
                self.assertEqual(self.ids(**storage(content_cache=useless)), ["W027"])
            folder.mkdir(0o700)
            self.assertEqual(self.ids(**storage(content_cache=folder)), [])
            folder.chmod(0o755)
            self.assertEqual(self.ids(**storage(content_cache=folder)), ["W027"])
            self.assertIn("0755", self.messages[0].msg)
            self.assertEqual(list(folder.iterdir()), [])
            (folder / "mine").write_text("mine")
            self.assertEqual(self.ids(**storage(content_cache=folder)), ["W027"])
            self.assertIn("other files", self.messages[0].msg)
            self.assertEqual(self.ids(**storage(content_cache=folder / "mine")), ["W027"])

    def test_caches(self) -> None:
        backends = "django.core.cache.backends"
        caches: dict[str, dict[str, Any]] = {
            "good": {"BACKEND": f"{backends}.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1"},
            "for ever": {"BACKEND": f"{backends}.redis.RedisCache", "TIMEOUT": None},
            "alone": {"BACKEND": f"{backends}.locmem.LocMemCache"},
            "nothing": {"BACKEND": f"{backends}.dummy.DummyCache"},
            "rolled back": {"BACKEND": f"{backends}.db.DatabaseCache", "LOCATION": "table"},
            "a subclass": {"BACKEND": f"{__name__}.InDatabase", "LOCATION": "table"},
        }
        self.assertEqual(self.ids(CACHES=caches, **storage()), [])
        self.assertEqual(self.ids(CACHES=caches, **storage(cache="good")), [])
        for wrong in ("missing", "", 5, ["good"], {}, CAP, "rolled back", "a subclass"):
            self.assertEqual(self.ids(CACHES=caches, **storage(cache=wrong)), ["E008"], wrong)
        for doubtful in ("for ever", "alone", "nothing", lazystr(" alone ")):
            self.assertEqual(self.ids(CACHES=caches, **storage(cache=doubtful)), ["W002"])

    def test_a_subclass_can_have_options_of_its_own(self) -> None:
        backend = "tahoestorage.staticfiles.TahoeManifestStaticFilesStorage"
        options = {"location": "static", "manifest_storage": None}
        static = {"BACKEND": backend, "OPTIONS": options}
        self.assertEqual(self.ids(STORAGES={"staticfiles": static}), [])
        options["manifest"] = None
        self.assertEqual(self.ids(STORAGES={"staticfiles": static}), ["E001"])

    def test_manifest_storages_need_a_base_url(self) -> None:
        def ids(cls: type[TahoeStorage], **options: Any) -> list[str]:
            backend = {"BACKEND": f"{cls.__module__}.{cls.__name__}", "OPTIONS": options}
            static = {"STORAGES": {"staticfiles": backend}}
            with override_settings(**{**GOOD, **static}):
                # `collectstatic` runs these alone.
                tagged = {message.id for message in run_checks(tags=["staticfiles"])}
            found = sorted(self.ids(**static))
            self.assertEqual(tagged, {"tahoestorage.E017"} if "E017" in found else set())
            return found

        manifest = TahoeManifestStaticFilesStorage
        self.assertEqual(ids(manifest, location="static"), [])
        self.assertEqual(ids(manifest, location="static", base_url=None), ["E017", "W001"])
        self.assertEqual(ids(TahoeStaticFilesStorage, location="static", base_url=None), ["W001"])
        self.assertEqual(ids(OwnUrl, location="static"), [])
        self.assertEqual(ids(manifest, locaton="static"), ["E001", "W009"])

    def test_djangos_manifest_mixin_is_an_error(self) -> None:
        backend = f"{__name__}.Mixed"
        for alias in ("staticfiles", "other"):
            static = {"BACKEND": backend, "OPTIONS": {"location": "static"}}
            self.assertEqual(self.ids(STORAGES={alias: static}), ["E022"])

    def test_keys_of_storages_that_django_does_not_read(self) -> None:
        backend = "tahoestorage.storage.TahoeStorage"
        for wrong, id in (
            ({"location": "media"}, "E018"),
            ({"OPTIONS": None}, "E019"),
            ({"OPTIONS": ["media"]}, "E019"),
        ):
            storages = {"default": {"BACKEND": backend, **wrong}}
            self.assertEqual(self.ids(STORAGES=storages), [id])
        other = {"BACKEND": "django.core.files.storage.InMemoryStorage", "location": "media"}
        self.assertEqual(self.ids(STORAGES={"default": other}), [])

    def test_names_of_settings(self) -> None:
        for wrong, near in (
            ("TAHOE_STORAGE_BASE_URLS", "TAHOE_STORAGE_BASE_URL"),
            ("TAHOE_STORAGE_TIME_OUT", "TAHOE_STORAGE_TIMEOUT"),
            ("TAHOE_STORAGE_TAHOE_BASE_CAP", "TAHOE_STORAGE_BASE_CAP"),
            ("TAHOE_BASE_CAP", "TAHOE_STORAGE_BASE_CAP"),
            ("TAHOE_PUBLIC_URL", "TAHOE_PUBLIC_BASE_URL"),
            ("TAHOESTORAGE_BASE_CAP", "TAHOE_STORAGE_BASE_CAP"),
        ):
            self.assertEqual(self.ids(**{wrong: CAP}), ["W008"], wrong)
            [message] = self.messages
            self.assertEqual(message.obj, wrong)
            self.assertIn(f"Rename it to {near},", str(message.hint))
        self.assertEqual(self.ids(TAHOE_STORAGE_XQZ=1), ["W008"])
        self.assertEqual(self.ids(TAHOE_CLUSTER="mine", TAHOMA_URL="https://h/"), [])

    def test_every_option_is_a_setting_with_the_same_check(self) -> None:
        for name, setting in conf.SETTINGS.items():
            if name not in ("tahoe_base_cap", "tahoe_base_cap_file", "base_url"):
                by_setting = self.ids(**{setting: b"wrong"})
                self.assertEqual(len(by_setting), 1, name)
                self.assertIn(f"{setting} (or the option {name!r})", self.messages[0].msg)
                self.assertEqual(self.messages[0].obj, Document._meta.get_field("file"))
                self.assertEqual(self.ids(**storage(**{name: b"wrong"})), by_setting, name)
                self.assertEqual(self.messages[0].obj, "STORAGES['default']")

    def test_a_message_tells_the_value_and_its_type(self) -> None:
        self.ids(TAHOE_STORAGE_TIMEOUT="30")
        [message] = self.messages
        self.assertEqual(
            message.msg,
            "TAHOE_STORAGE_TIMEOUT (or the option 'timeout') must be a number greater than 0, in "
            "seconds, not '30' (str)",
        )
        self.assertIn("the default counts, 60.0.", str(message.hint))
        self.ids(TAHOE_STORAGE_TIMEOUT=f"{CAP}{'x' * 10_000}")
        self.assertLess(len(self.messages[0].msg), 300)

    def test_one_message_names_all_storages_that_it_is_about(self) -> None:
        backend = "tahoestorage.storage.TahoeStorage"
        for number, named in (
            (1, "STORAGES['0'] and checked.Document.file"),
            (2, "STORAGES['0'], STORAGES['1'] and checked.Document.file"),
            (5, "STORAGES['0'], STORAGES['1'], STORAGES['2'] and 3 more"),
        ):
            every = {str(alias): {"BACKEND": backend} for alias in range(number)}
            self.assertEqual(self.ids(TAHOE_STORAGE_TIMEOUT=0, STORAGES=every), ["E004"])
            self.assertEqual(self.messages[0].obj, named)

    def test_static_files_need_a_directory_of_their_own(self) -> None:
        def ids(media: str, static: str, **options: Any) -> list[str]:
            backend = "tahoestorage.staticfiles.TahoeStaticFilesStorage"
            static_options = {"location": static, **options}
            storages: dict[str, Any] = storage(location=media, **options)["STORAGES"]
            storages["staticfiles"] = {"BACKEND": backend, "OPTIONS": static_options}
            return self.ids(STORAGES=storages)

        other = {"tahoe_base_cap": CAP[:-1] + "q"}  # than that of the model below
        for media, static in (("a", "a"), ("a/", "/a"), ("static/a", "static"), ("a", "")):
            self.assertEqual(ids(media, static, **other), ["W009"])
        for media, static in (("a", "b"), ("", "static"), ("static", "static/files")):
            self.assertEqual(ids(media, static, **other), [])
        self.assertEqual(ids("media", "", tahoe_base_cap=CAP), ["W009"])

    def test_two_gateways_that_change_one_directory(self) -> None:
        def ids(first: Any, **options: Any) -> list[str]:
            options = {"tahoe_base_url": first, "location": "a", **options}
            return self.ids(**storage(**options))

        good = GOOD["TAHOE_STORAGE_BASE_URL"]
        self.assertEqual(ids(["http://b:1/", good]), ["W010"])
        self.assertEqual(ids([good[:-1], "http://b:1/"]), [])
        self.assertEqual(ids("http://b:1/", tahoe_writer_url=good), [])
        self.assertEqual(ids("http://b:1/", tahoe_base_cap=CAP[:-1] + "q"), [])

    def test_file_fields_without_room_for_names(self) -> None:
        def ids(upload_to: Any, max_length: int | None, storage: Any = ts) -> list[str]:
            field = Document._meta.get_field("file")
            self.patch(field, "upload_to", upload_to)
            self.patch(field, "max_length", max_length)
            self.patch(field, "storage", storage)
            return self.ids()

        memory = InMemoryStorage()
        for upload_to, max_length, expected in (
            ("", 40, []),
            ("", 39, ["W011"]),
            ("a/b/c/", 46, []),
            ("a/b/c/", 45, ["W011"]),
            ("a/b/c", 45, ["W011"]),
            ("%Y/%m/%d/", 51, []),
            ("%Y/%m/%d/", 50, ["W011"]),
            ("a" * 100, 100, ["W011"]),
            ("a" * 100, None, []),
            (lambda instance, name: name, 40, []),
            (lambda instance, name: name, 39, ["W011"]),
        ):
            self.assertEqual(ids(upload_to, max_length), expected, (upload_to, max_length))
            self.assertEqual(ids(upload_to, max_length, memory), [])

    def test_a_failing_default_storage_is_one_message(self) -> None:
        self.patch(Document._meta.get_field("file"), "storage", DefaultStorage())
        self.assertEqual(self.ids(**storage(locaton="a")), ["E001"])
        self.assertEqual(self.ids(STORAGES={"default": {"BACKEND": "no.such.Storage"}}), [])

    def test_a_field_with_the_default_storage_has_the_class_behind_it(self) -> None:
        self.patch(Document._meta.get_field("file"), "storage", DefaultStorage())
        caps = {"default": {"BACKEND": "tahoestorage.capstorage.TahoeCapStorage"}}
        served = {"ROOT_URLCONF": "tests.tahoestorage.serving.one_url"}
        self.assertEqual(self.ids(STORAGES=caps, TAHOE_PUBLIC_BASE_URL=None, **served), ["W006"])

    def test_every_mistake_is_one_message(self) -> None:
        # Without a gateway and a cap, nobody knows whether the site serves the files: no W001.
        self.assertEqual(self.ids(**dict.fromkeys(GOOD)), ["E002", "E003"])


class Reporter(ExceptionReporter):
    pass


class RedactingReporter(RedactingExceptionReporter, Reporter):
    pass


class Reporters(SynchronousTestCase):
    def test_a_reporter_that_shows_caps_is_a_warning(self) -> None:
        for reporter, expected in (
            ("django.views.debug.ExceptionReporter", ["tahoestorage.W025"]),
            (f"{__name__}.Reporter", ["tahoestorage.W025"]),
            ("no.such.Reporter", ["tahoestorage.W025"]),
            (f"{__name__}.RedactingReporter", []),
            ("tahoestorage.redaction.reporter.RedactingExceptionReporter", []),
        ):
            with override_settings(DEFAULT_EXCEPTION_REPORTER=reporter):
                messages = run_checks(tags=["security"])
            self.assertEqual([message.id for message in messages], expected, reporter)
