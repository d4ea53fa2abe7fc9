"""No cap in output of Django's storage: errors, files, settings, and output of processes."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from typing import Any

from django.core.checks import run_checks
from django.core.files.base import ContentFile
from django.test import override_settings
from twisted.trial.unittest import SynchronousTestCase

from tahoestorage import conf
from tahoestorage.storage import TahoeStorage
from tests.faults.case import mend
from tests.grid import strangers
from tests.grid.case import make_directory
from tests.grid.proxy import Proxy
from tests.grid.shared import gateways_for, shared_grid
from tests.needs import GRID, TIME, needs
from tests.secrets.collect import Collector
from tests.secrets.test_no_caps import NOWHERE, echo
from tests.secrets.test_search import new_cap
from txtahoe import Cap, Transport

CHECKOUT = Path(__file__).parent.parent.parent
_DEFAULTS: dict[str, Any] = Transport.__init__.__kwdefaults__ or {}


def operations(storage: TahoeStorage) -> dict[str, Callable[[], Any]]:
    def write(mode: str) -> Any:
        with storage.open("written", mode) as file:
            file.write(b"written" * 100)
        return file

    def save_many(*names: str) -> Any:
        return storage.save_many((name, ContentFile(name.encode() * 100)) for name in names)

    def read() -> Any:
        with storage.open("here") as file:
            return file, file.read(10), file.size, repr(file.file), repr(file._raw)

    return {
        "save": lambda: storage.save("a/new", ContentFile(b"new" * 100)),
        "save of a large file": lambda: storage.save("large", ContentFile(b"large" * 300_000)),
        "save_many": lambda: save_many("many/a", "many/b"),
        "save_many of which some fail": lambda: save_many("../x", "here/below", "many/c"),
        "open": read,
        "open of what is missing": lambda: storage.open("missing"),
        "open to write": lambda: write("wb"),
        "open to append": lambda: write("ab"),
        "open of a directory": lambda: storage.open("a"),
        "exists": lambda: storage.exists("here"),
        "listdir": lambda: storage.listdir(""),
        "prefetch": lambda: storage.prefetch(["here", "a/here", "missing"]),
        "walk": lambda: list(storage.walk()),
        "walk that is left": lambda: next(storage.walk()),
        "size": lambda: storage.size("here"),
        "size of a directory": lambda: storage.size("a"),
        "url of a directory": lambda: storage.url("a"),
        "url of what is missing": lambda: storage.url("missing"),
        "get_created_time": lambda: storage.get_created_time("here"),
        "get_modified_time": lambda: storage.get_modified_time("here"),
        "delete": lambda: storage.delete("written"),
        "delete of a full directory": lambda: storage.delete("a"),
        "a path that climbs": lambda: storage.exists("../x"),
        "pickle": lambda: pickle.dumps(storage).decode("latin-1"),
        "copy": lambda: copy.deepcopy(storage),
        "deconstruct": lambda: storage.deconstruct(),  # type: ignore[attr-defined]
    }


class StorageSecretsTestCase(SynchronousTestCase):
    backend: type[TahoeStorage] = TahoeStorage

    def setUp(self) -> None:
        self.gateway = gateways_for(self)[0]
        self.cap = make_directory(self.gateway)
        # No request is repeated: repeats would take most of the time.
        self.patch(Transport.__init__, "__kwdefaults__", {**_DEFAULTS, "pauses": ()})
        self.collector = Collector().__enter__()
        self.addCleanup(self.collector.__exit__)
        self.collector.secrets.add(Cap.parse(self.cap))

    def new_storage(self, **options: Any) -> TahoeStorage:
        defaults = {
            "tahoe_base_url": self.gateway,
            "tahoe_base_cap": self.cap,
            "base_url": self.gateway,
            "timeout": 2,
        }
        return self.backend(**{**defaults, **options})

    def attempt(self, operation: Callable[[], Any], where: str) -> None:
        try:
            self.collector.value(operation(), where)
        except Exception as error:
            self.collector.exception(error, where)

    def attempt_all(
        self,
        storage: TahoeStorage,
        trouble: str,
        operations: Callable[[Any], dict[str, Callable[[], Any]]] = operations,
    ) -> None:
        self.collector.value(storage, trouble)
        for name, operation in operations(storage).items():
            self.attempt(operation, f"{name}, {trouble}")
        self.collector.value(vars(storage), f"variables of the storage, {trouble}")

    def assert_no_leaks(self) -> None:
        leaks = self.collector.leaks()
        if leaks:
            self.fail(f"{len(leaks)} leaks:\n" + "\n".join(leaks))


class Storages(StorageSecretsTestCase):
    def setUp(self) -> None:
        super().setUp()
        storage = self.new_storage()
        storage.save("here", ContentFile(os.urandom(5000)))
        storage.save("a/here", ContentFile(os.urandom(5000)))

    def test_when_all_is_well(self) -> None:
        self.attempt_all(self.new_storage(), "well")
        self.assert_no_leaks()

    def test_with_a_read_cap(self) -> None:
        reader = str(Cap.parse(self.cap).reader)
        self.attempt_all(self.new_storage(tahoe_base_cap=reader), "read-only")
        self.assert_no_leaks()

    def test_with_no_gateway(self) -> None:
        self.attempt_all(self.new_storage(tahoe_base_url=NOWHERE), "no gateway")
        self.assert_no_leaks()

    def test_with_a_spool(self) -> None:
        for where, options in {"well": {}, "no gateway": {"tahoe_base_url": NOWHERE}}.items():
            folder = self.mktemp()
            spooled = {"spool": folder, "spool_min_free": 0, "base_url": None, **options}
            storage = self.new_storage(**spooled)
            self.attempt_all(storage, f"a spool, {where}")
            spool = storage.connection.spool
            assert spool is not None
            for value in (spool.summary(), spool.below(()), vars(spool)):
                self.collector.value(value, f"the spool, {where}")
            with spool._database.use(changes=True) as journal:
                journal.execute("UPDATE entries SET sealed = substr(sealed, 2)")
            self.attempt_all(storage, f"a damaged journal, {where}")
            (file,) = Path(folder).glob("*/journal.sqlite3")
            file.unlink()
            file.mkdir()
            self.attempt_all(storage, f"a broken journal, {where}")
            rmtree(folder)  # else the uploader of this process would try it for ever
        self.assert_no_leaks()

    @needs(TIME)
    def test_with_strangers_in_the_place_of_the_gateway(self) -> None:
        for name, behave in {
            "a stranger that hangs up": strangers.hang_up,
            "a stranger that is silent": strangers.silent,
            "a stranger that names what is asked for": echo,
            "a web server": strangers.answers("200 OK", "<html>Welcome!</html>"),
        }.items():
            with strangers.stranger(behave) as url:
                self.attempt_all(self.new_storage(tahoe_base_url=url, timeout=0.1), name)
        self.assert_no_leaks()

    def test_when_answers_are_lost_or_cut(self) -> None:
        with Proxy(self.gateway) as proxy:
            storage = self.new_storage(tahoe_base_url=proxy.url)
            for name, operation in operations(storage).items():
                for method in ("PUT", "GET", "POST"):
                    proxy.lose_answer(f"{method} /uri")
                    proxy.cut_after(400)
                    self.attempt(operation, f"{name}, lost answers")
        self.assert_no_leaks()

    @needs(GRID)
    @needs(TIME)
    def test_when_too_few_servers_are_left(self) -> None:
        grid = shared_grid()
        self.addCleanup(mend, grid)
        for server in grid.servers[:2]:
            server.kill()
        grid.wait_ready()
        self.attempt_all(self.new_storage(), "one server left")
        self.assert_no_leaks()

    def test_with_content_that_fails(self) -> None:
        class Failing(ContentFile):
            def chunks(self, chunk_size: int | None = None) -> Any:
                yield b"x" * 2_000_000
                raise LookupError("broken")

        self.attempt(lambda: self.new_storage().save("f", Failing(b"")), "content that fails")
        self.assert_no_leaks()


class Settings(StorageSecretsTestCase):
    """Mistakes in settings: their errors must not show the secrets in them."""

    def attempt_options(self, trouble: str, **options: Any) -> None:
        self.attempt(lambda: self.new_storage(**options).exists("x"), f"{trouble}, option")

    def attempt_settings(self, trouble: str, **settings: Any) -> None:
        good = {"TAHOE_STORAGE_BASE_URL": self.gateway, "TAHOE_STORAGE_BASE_CAP": self.cap}
        with override_settings(**{**good, **settings}):
            self.attempt(lambda: TahoeStorage().exists("x"), f"{trouble}, setting")
            for message in run_checks(tags=["files"]):
                self.collector.text(f"{message} {message!r}", f"{trouble}, check")

    def test_a_cap_that_cannot_be_used(self) -> None:
        file = str(new_cap("CHK", ":2:3:6000"))
        verifier = str(Cap.parse(self.cap).verifier)
        for trouble, wrong in {
            "a cap that is cut short": self.cap[:-9],
            "a cap with more behind it": f"{self.cap}:5",
            "a cap as bytes": self.cap[:-9].encode(),
            "a file": file,
            "a verify cap": verifier,
            "a list of caps": [self.cap],
        }.items():
            self.attempt_options(trouble, tahoe_base_cap=wrong)
            self.attempt_settings(trouble, TAHOE_STORAGE_BASE_CAP=wrong)
        self.assert_no_leaks()

    def test_an_option_whose_name_is_misspelt(self) -> None:
        self.attempt_options("misspelt", tahoe_base_capp=self.cap)
        self.assert_no_leaks()

    def test_a_cap_in_the_place_of_another_option(self) -> None:
        self.attempt_options("a cap as a gateway", tahoe_base_url=self.cap)
        self.attempt_settings("a cap as a gateway", TAHOE_STORAGE_BASE_URL=self.cap)
        self.attempt_settings("a cap as an address", TAHOE_PUBLIC_BASE_URL=f"{NOWHERE}{self.cap}")
        self.attempt_options("a cap as a time", timeout=self.cap)
        self.assert_no_leaks()

    def test_other_options_that_are_wrong(self) -> None:
        for timeout in (0, "soon"):
            self.attempt_options("a wrong time", timeout=timeout)
        self.assert_no_leaks()

    def test_a_storage_has_a_repr_also_where_its_location_is_wrong(self) -> None:
        # An error page shows the variables of the frame that raised the error.
        self.collector.value(self.new_storage(location="../x"), "a wrong location")
        self.assert_no_leaks()

    def test_a_pickle_whose_cap_is_unknown(self) -> None:
        pickled = pickle.dumps(self.new_storage())
        self.patch(conf.basecap, "_remembered", {})
        self.attempt(lambda: pickle.loads(pickled), "unpickling")
        self.assert_no_leaks()


@needs(TIME)
class Processes(StorageSecretsTestCase):
    """The output of a process that logs everything, warns of everything and dies of an error."""

    def run_child(self, name: str) -> str:
        """The output of the child's function `name`; the caps that it made become secrets."""
        with tempfile.NamedTemporaryFile("r") as caps:
            asked = {"gateway": self.gateway, "cap": self.cap, "caps": caps.name}
            done = subprocess.run(
                [sys.executable, "-X", "dev", "-W", "always", "-m", "tests.secrets.child", name],
                input=json.dumps(asked),
                capture_output=True,
                text=True,
                cwd=CHECKOUT,
                env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
                timeout=60,
            )
            made = caps.read().split()
        for cap in made:
            self.collector.secrets.add(Cap.parse(cap))
        self.assertGreater(len(made), 1, done.stderr)
        self.collector.text(done.stdout, f"{name}, standard output")
        self.collector.text(done.stderr, f"{name}, standard error")
        return done.stdout + done.stderr

    def test_that_ends_well(self) -> None:
        self.assertIn("Starting factory", self.run_child("well"))
        self.assert_no_leaks()

    def test_that_dies_of_an_error(self) -> None:
        self.assertIn("GatewayRefused", self.run_child("dies"))
        self.assert_no_leaks()

    def test_that_collects_static_files_and_cannot_save_one_at_its_exit(self) -> None:
        output = self.run_child("collects")
        self.assertIn("Post-processed 'a.css' as 'a.", output)
        self.assertIn("1 of 1 changes of files failed: 'late': ", output)
        self.assert_no_leaks()

    def test_that_leaves_files_open_and_errors_alone(self) -> None:
        output = self.run_child("careless")
        self.assertIn("ResourceWarning", output)
        self.assertIn("Unhandled error in Deferred", output)
        self.assert_no_leaks()
