"""Options and settings: their forms, which of them wins, and storages in migrations and pickles."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from attrs import asdict
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.db.migrations.writer import MigrationWriter
from django.db.models.fields.files import FieldFile, FileField
from django.test import override_settings
from django.utils.functional import SimpleLazyObject, lazystr
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tahoestorage import conf
from tahoestorage.capstorage import TahoeCapStorage
from tahoestorage.staticfiles import TahoeStaticFilesStorage
from tahoestorage.storage import TahoeStorage
from tests.grid.case import make_directory
from tests.tahoestorage.case import StorageTestCase, forget_links
from txtahoe import Cap

TAHOE = "tahoestorage.storage.TahoeStorage"
tenant = threading.local()


fields = partial(asdict, recurse=False)


class TenantStorage(TahoeStorage):
    """Each request of the site is for one tenant or another."""

    @property
    def location(self) -> str:
        return f"tenants/{tenant.name}"


class TenantBaseStorage(TahoeStorage):
    @property
    def base_location(self) -> str:
        return f"tenants/{tenant.name}"


class TenantCapStorage(TahoeCapStorage):
    @property
    def location(self) -> str:
        return f"tenants/{tenant.name}"


class TenantStaticStorage(TahoeStaticFilesStorage):
    @property
    def location(self) -> str:
        return f"tenants/{tenant.name}"


class OwnSignature(TahoeStorage):
    """A subclass with arguments of its own, one of which is the cap."""

    def __init__(self, root: Any, *, gateway: str, label: str = "") -> None:
        super().__init__(tahoe_base_cap=root, tahoe_base_url=gateway)
        self.label = label


class GivenAsNone(StorageTestCase):
    """An option that is given wins over its setting, also as None."""

    def setUp(self) -> None:
        super().setUp()
        self.override(
            TAHOE_STORAGE_BASE_URL=self.gateway,
            TAHOE_STORAGE_WRITER_URL="http://127.0.0.1:1/",
            TAHOE_STORAGE_BASE_CAP=self.cap,
            TAHOE_PUBLIC_BASE_URL="https://files.example.com/",
            ROOT_URLCONF="tests.tahoestorage.serving.one_url",
        )

    def test_without_a_base_url_no_link_has_a_cap(self) -> None:
        options = {"base_url": None, "tahoe_writer_url": None}
        self.override(STORAGES={"default": {"BACKEND": TAHOE, "OPTIONS": options}})
        storage = TahoeStorage(base_url=None, tahoe_writer_url=None)
        storage.save("f", ContentFile(b"private" * 20))
        self.assertEqual(storage.url("f"), "/files/f")
        self.override(ROOT_URLCONF="tests.tahoestorage.serving.no_urls")
        with self.assertRaisesRegex(ValueError, "not accessible via a URL"):
            storage.url("f")
        self.assertEqual(
            [message.id for message in run_checks(tags=["files"])], ["tahoestorage.W001"]
        )

    def test_without_a_writer_the_first_gateway_makes_the_changes(self) -> None:
        self.assertEqual(TahoeStorage(tahoe_writer_url=None).save("f", ContentFile(b"x")), "f")
        self.assertRaises(ConnectionError, TahoeStorage().save, "f", ContentFile(b"x"))

    def test_a_gateway_or_cap_of_none_is_missing(self) -> None:
        for option in ("tahoe_base_url", "tahoe_base_cap"):
            options: dict[str, Any] = {option: None}
            with self.assertRaisesRegex(ImproperlyConfigured, f"{option}.* is missing"):
                TahoeStorage(**options).exists("f")

    def test_none_switches_off_the_cap_or_its_file(self) -> None:
        path = Path(self.mktemp()).absolute()
        path.write_text(self.cap)
        both = {"TAHOE_STORAGE_BASE_CAP": make_directory(self.gateway)}
        with override_settings(**both, TAHOE_STORAGE_BASE_CAP_FILE=path):
            self.assertRaises(ImproperlyConfigured, conf.base_cap, {})
            self.assertEqual(str(conf.base_cap({"tahoe_base_cap": None})), self.cap)
            self.assertEqual(
                str(conf.base_cap({"tahoe_base_cap_file": None})), both["TAHOE_STORAGE_BASE_CAP"]
            )
            self.assertEqual(
                str(conf.base_cap({"tahoe_base_cap": self.cap, "tahoe_base_cap_file": None})),
                self.cap,
            )

    def test_none_gives_other_options_their_default(self) -> None:
        given: dict[str, Any] = dict.fromkeys(
            name for name in conf.OPTIONS if not name.startswith("tahoe_") and name != "base_url"
        )
        self.assertIn("timeout", given)
        self.assertEqual(fields(conf.connection(given)), fields(conf.connection({})))
        self.assertEqual((conf.location(given), conf.signed_urls(given)), ("", None))
        self.assertEqual([m.id for m in run_checks(tags=["files"])], [])


class AsSettings(StorageTestCase):
    """Every option is also a setting, which storages without the option follow."""

    def test_a_setting_is_followed_at_once_and_an_option_wins(self) -> None:
        storage, other = self.new_storage(), self.new_storage(allow_overwrite=None, location=None)
        self.assertEqual(storage.save("a/f", ContentFile(b"1")), "a/f")
        with override_settings(TAHOE_STORAGE_ALLOW_OVERWRITE=True, TAHOE_STORAGE_LOCATION="a"):
            self.assertEqual(storage.save("f", ContentFile(b"2")), "f")
            self.assertNotEqual(other.save("a/f", ContentFile(b"3")), "a/f")
        self.assertEqual(self.read("a/f"), b"2")
        self.assertNotEqual(storage.save("a/f", ContentFile(b"4")), "a/f")

    def test_every_other_setting_changes_the_connection_or_the_links(self) -> None:
        given: dict[str, Any] = {
            "timeout": 7,
            "max_age": 0,
            "concurrency": 3,
            "commit_delay": 0,
            "signed_urls": 60,
            "cache": "default",
            "content_cache": {"path": "/var/cache/mysite", "max_bytes": 2**20},
            "fanout": True,
            "ca_file": "/etc/ca.pem",
            "client_certificate": "/etc/site.pem",
            "authorization": "env:GATEWAY_TOKEN",
        }
        options: conf.Options = {"tahoe_base_url": self.gateway, "tahoe_base_cap": self.cap}
        by_option: Any = {**options, **given}
        with override_settings(**{conf.SETTINGS[name]: given[name] for name in given}):
            self.assertEqual(fields(conf.connection(options)), fields(conf.connection(by_option)))
            self.assertEqual(conf.signed_urls(options), conf.signed_urls(by_option))
            self.assertEqual(conf.connection(options).timeout, 7)

    def test_what_gateways_are_told_goes_to_those_of_the_settings(self) -> None:
        options: conf.Options = {
            "tahoe_base_url": ["http://H:1", "unix:///run/g.sock"],
            "tahoe_writer_url": "https://[::1]",
        }
        known = ("http://h:1/", "unix:/run/g.sock", "https://[::1]/")
        self.assertEqual(conf.security(options).gateways, known)


class Manual(SynchronousTestCase):
    """The manual's table of options is that of the code."""

    def test_the_manual_has_every_option(self) -> None:
        pages = list((Path(conf.__file__).parents[1] / "docs").glob("*settings*"))
        if not pages:
            raise SkipTest("the manual has no chapter about settings yet")
        [page] = pages
        table = "\n".join(self.rows())
        self.assertIn(table, page.read_text(), f"the table is to be\n{table}\n")

    def rows(self) -> Iterator[str]:
        yield "| option | setting | type | default | unit | |"
        yield "|---|---|---|---|---|---|"
        for name, option in conf.OPTIONS.items():
            cells = f"`{name}`", f"`{conf.SETTINGS[name]}`", option.type, f"`{option.default!r}`"
            yield f"| {' | '.join([*cells, option.unit, option.help])} |"


class Forms(StorageTestCase):
    """Lazy strings, and blanks around values, as environments and files have them."""

    def test_a_text_can_be_lazy_and_have_blanks_around_it(self) -> None:
        def forms(text: str) -> list[Any]:
            return [f" {text}\n", lazystr(text), SimpleLazyObject(lambda: f"{text} ")]

        good = {
            "TAHOE_STORAGE_BASE_URL": self.gateway,
            "TAHOE_STORAGE_WRITER_URL": self.gateway,
            "TAHOE_STORAGE_BASE_CAP": self.cap,
            "TAHOE_PUBLIC_BASE_URL": "https://files.example.com/prefix",
        }
        path = Path(self.mktemp()).absolute()
        path.write_text(self.cap)
        path.chmod(0o600)
        with override_settings(**good):
            TahoeStorage().save("f", ContentFile(b"x" * 100))
            url = TahoeStorage().url("f")
        self.assertTrue(url.startswith("https://files.example.com/prefix/named/URI:CHK:"))
        options = {setting: option for option, setting in conf.SETTINGS.items()}
        for setting, text in {**good, "TAHOE_STORAGE_BASE_CAP_FILE": str(path)}.items():
            for form in forms(text):
                given = {**good, setting: form}
                if setting == "TAHOE_STORAGE_BASE_CAP_FILE":
                    del given["TAHOE_STORAGE_BASE_CAP"]
                with override_settings(**given):
                    self.assertEqual(TahoeStorage().url("f"), url)
                    self.assertEqual([m.id for m in run_checks(tags=["files"])], [])
                by_option: dict[str, Any] = {options[name]: given[name] for name in given}
                storage = TahoeStorage(**by_option)
                self.assertEqual(storage.url("f"), url)
                self.assertNotIn(self.cap.split(":")[2], repr(storage.options))
        several = TahoeStorage(
            tahoe_base_url=[lazystr(self.gateway)], tahoe_base_cap=self.cap.encode()
        )
        self.assertTrue(several.exists("f"))

    def test_a_writer_that_is_not_a_text_is_refused(self) -> None:
        for wrong in (5, ["http://h/"], b"http://h/", object()):
            with self.assertRaisesRegex(ImproperlyConfigured, "WRITER_URL"):
                conf.writer({"tahoe_writer_url": wrong})  # type: ignore[typeddict-item]


class Tenants(StorageTestCase):
    """A subclass whose `location` is a property: each request has another tenant."""

    def storages(self) -> list[TahoeStorage]:
        self.addCleanup(forget_links)
        options: dict[str, Any] = {
            "tahoe_base_url": self.gateway,
            "tahoe_base_cap": self.cap,
            "base_url": "https://files.example.com/",
        }
        kinds = (TenantStorage, TenantBaseStorage, TenantCapStorage, TenantStaticStorage)
        return [kind(**options) for kind in kinds]

    def test_each_tenant_sees_its_own_files(self) -> None:
        for storage in self.storages():
            saved: dict[str, tuple[str, bytes]] = {}
            for name in ("one", "two", "one", "two"):
                tenant.name = name
                if name not in saved:
                    content = f"{type(storage).__name__} of {name}".encode() * 9
                    saved[name] = storage.save("f", ContentFile(content)), content
                found, content = saved[name]
                with storage.open(found) as file:
                    self.assertEqual(file.read(), content)
                self.assertEqual(storage.size(found), len(content))
                if isinstance(storage, TahoeStaticFilesStorage):
                    storage.flush()
                if isinstance(storage, TahoeCapStorage):
                    storage.flush()
                self.assertEqual(storage.listdir("")[1] or found.split("/")[1:], ["f"])
            for name, (found, _) in saved.items():
                tenant.name = name
                storage.delete(found)
                if isinstance(storage, TahoeStaticFilesStorage):
                    storage.flush()
        self.assertEqual(set(self.storage.listdir("tenants")[0]), {"one", "two"})

    def test_a_walk_stays_with_the_tenant_of_its_start(self) -> None:
        storage = self.storages()[0]
        tenant.name = "one"
        storage.save("a/f", ContentFile(b"x"))
        walk = storage.walk()
        self.assertEqual(next(walk), ("", ["a"], []))
        tenant.name = "another"
        self.assertEqual(next(walk), ("a", [], ["f"]))


class WrittenDown(StorageTestCase):
    """A storage in migrations and pickles leads to the same tree, or says why it cannot."""

    def setUp(self) -> None:
        super().setUp()
        self.other = make_directory(self.gateway)
        self.override(TAHOE_STORAGE_BASE_URL=self.gateway, TAHOE_STORAGE_BASE_CAP=self.other)

    def rebuilt(self, storage: Any) -> TahoeStorage:
        _, args, kwargs = storage.deconstruct()
        self.assertNotIn(self.cap.split(":")[2], f"{args}{kwargs}")
        again: TahoeStorage = type(storage)(*args, **kwargs)
        self.assertEqual(again.deconstruct()[1:], (args, kwargs))  # type: ignore[attr-defined]
        return again

    def forget(self) -> None:
        """Forget the caps of this process, as if it were another one."""
        self.patch(conf.basecap, "_remembered", {})

    def test_a_pickle_leads_to_the_same_tree_in_this_process(self) -> None:
        for kind in (TahoeStorage, TahoeCapStorage, TahoeStaticFilesStorage):
            storage = kind(tahoe_base_cap=self.cap)
            for again in (self.rebuilt(storage), pickle.loads(pickle.dumps(storage))):
                self.assertEqual(again.place, storage.place)
                self.assertEqual(str(conf.base_cap(again.options)), self.cap)

    def test_the_cap_is_found_in_the_settings_or_in_storages(self) -> None:
        storage = TahoeStorage(tahoe_base_cap=self.cap)
        pickled = pickle.dumps(storage)
        self.forget()
        path = Path(self.mktemp()).absolute()
        path.write_text(self.cap)
        by_file = {"BACKEND": TAHOE, "OPTIONS": {"tahoe_base_cap_file": str(path)}}
        by_cap = {"BACKEND": TAHOE, "OPTIONS": {"tahoe_base_cap": self.cap}}
        wrong = {"BACKEND": TAHOE, "OPTIONS": {"tahoe_base_cap": "URI:DIR2:oops"}}
        for settings in (
            {"TAHOE_STORAGE_BASE_CAP": self.cap},
            {"STORAGES": {"wrong": wrong, "x": {"BACKEND": TAHOE, "OPTIONS": None}, "y": by_file}},
            {"STORAGES": {"wrong": wrong, "private": by_cap}},
        ):
            with override_settings(**settings):
                for again in (self.rebuilt(storage), pickle.loads(pickled)):
                    self.assertEqual(str(conf.base_cap(again.options)), self.cap)

    def test_an_unknown_cap_is_an_error_and_saves_nothing_elsewhere(self) -> None:
        storage = TahoeStorage(tahoe_base_cap=self.cap)
        again, pickled = self.rebuilt(storage), pickle.dumps(storage)
        self.forget()
        fingerprint = Cap.parse(self.cap).fingerprint
        told = f"TAHOE_STORAGE_BASE_CAP .*<Cap DIR2 {fingerprint}>.* is not among the settings"
        with self.assertRaisesRegex(ImproperlyConfigured, told):
            again.save("f", ContentFile(b"x"))
        with self.assertRaisesRegex(pickle.UnpicklingError, told):
            pickle.loads(pickled)
        self.assertEqual(TahoeStorage().listdir(""), ([], []))

    def test_a_malformed_cap_is_refused(self) -> None:
        for wrong in (self.cap[:-5], 5):
            again = self.rebuilt(TahoeStorage(tahoe_base_cap=wrong))
            self.assertRaises(ImproperlyConfigured, again.exists, "f")

    def test_without_a_cap_of_its_own_it_follows_the_settings(self) -> None:
        again = self.rebuilt(TahoeStorage(location="a"))
        self.assertEqual(str(conf.base_cap(again.options)), self.other)
        again = self.rebuilt(TahoeStorage(tahoe_base_cap=None))
        self.assertRaises(ImproperlyConfigured, again.exists, "f")

    def test_a_fingerprint_in_place_of_the_cap_is_refused(self) -> None:
        name = repr(Cap.parse(self.cap))
        self.forget()
        with override_settings(
            TAHOE_STORAGE_BASE_CAP=name,
            STORAGES={"default": {"BACKEND": TAHOE, "OPTIONS": {"tahoe_base_cap": name}}},
        ):
            self.assertRaises(ImproperlyConfigured, conf.base_cap, {})
            self.assertIn("tahoestorage.E024", [m.id for m in run_checks(tags=["files"])])

    def test_a_subclass_with_a_signature_of_its_own(self) -> None:
        for root in (self.cap, Cap.parse(self.cap), f" {self.cap} "):
            storage = OwnSignature(root, gateway=self.gateway, label="mine")
            again = self.rebuilt(storage)
            assert isinstance(again, OwnSignature)
            self.assertEqual((again.place, again.label), (storage.place, "mine"))
            self.assertEqual(pickle.loads(pickle.dumps(storage)).place, storage.place)

    def test_a_field_of_a_migration_saves_into_the_same_tree(self) -> None:
        field = FileField(storage=TahoeStorage(tahoe_base_cap=self.cap))
        field.set_attributes_from_name("file")
        text, imports = MigrationWriter.serialize(field)
        self.assertIn("<Cap DIR2 ", text)
        self.assertNotIn("URI:", text)
        names: dict[str, Any] = {}
        exec("\n".join([*imports, f"field = {text}"]), names)  # noqa: S102 - as migrations do it
        file = FieldFile(None, names["field"], None)  # type: ignore[arg-type]
        file.storage.save("f", ContentFile(b"of a row"))
        self.assertEqual(self.read("f"), b"of a row")
        self.assertEqual(TahoeStorage().listdir(""), ([], []))
