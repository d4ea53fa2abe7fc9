"""Error pages and error mails show no caps, also with a reporter or a filter of the site's own."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.test import RequestFactory, override_settings
from django.utils.log import AdminEmailHandler
from django.views import debug
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter
from twisted.trial.unittest import SynchronousTestCase

import tests
from tahoestorage import conf
from tahoestorage.logs import RedactCaps
from tahoestorage.redaction import reporter
from tahoestorage.redaction.reporter import RedactingExceptionReporter
from tahoestorage.storage import TahoeStorage
from tests.secrets.search import Secrets
from tests.secrets.test_search import new_cap
from txtahoe import BadCap

CHECKOUT = Path(tests.__file__).parents[1]


class SorryReporter(ExceptionReporter):
    """A reporter that makes the page itself."""

    def get_traceback_html(self) -> Any:
        return f"<h1>Sorry</h1> {self.get_traceback_json()}"

    def get_traceback_json(self) -> str:
        return json.dumps(self.get_traceback_data(), default=repr)


class ReportOfTheProject(RedactingExceptionReporter, SorryReporter):
    """The class of the manual."""


class FilterOfTheProject(SafeExceptionReporterFilter):
    cleansed_substitute = "hidden by the project"

    def is_active(self, request: HttpRequest | None) -> bool:
        return True

    def get_traceback_frame_variables(self, request: Any, tb_frame: Any) -> Any:
        variables = dict(super().get_traceback_frame_variables(request, tb_frame))
        return {**variables, "added": f"by the project, {variables['cap']}"}.items()


class ReportTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.cap = new_cap()
        self.secrets = Secrets()
        self.secrets.add(self.cap)
        override = override_settings(ROOT_URLCONF="tests.tahoestorage.serving.no_urls")
        override.enable()
        self.addCleanup(override.disable)
        self.request = RequestFactory().get("/", {"cap": str(self.cap)})

    def report(self, kind: type[ExceptionReporter] = RedactingExceptionReporter) -> Any:
        cap = str(self.cap)
        try:
            raise ValueError(f"the cap {cap}")
        except ValueError as error:
            return kind(self.request, type(error), error, error.__traceback__)

    def assert_no_caps(self, text: str) -> None:
        self.assertEqual(self.secrets.found_in(text), set())


class Reports(ReportTestCase):
    def test_a_class_of_the_project(self) -> None:
        report = self.report(ReportOfTheProject)
        self.assertIsInstance(report, ReportOfTheProject)
        for text in (report.get_traceback_html(), report.get_traceback_text()):
            self.assert_no_caps(text)
            self.assertIn("ValueError", text)
        self.assertTrue(report.get_traceback_html().startswith("<h1>Sorry</h1>"))
        variables = report.get_traceback_data()["frames"][-1]["vars"]
        self.assertIn(("cap", repr(repr(self.cap))), variables)
        self.assert_no_caps(repr(variables))

    def test_a_class_of_the_project_for_one_request(self) -> None:
        self.request.exception_reporter_class = ReportOfTheProject  # type: ignore[attr-defined]
        with override_settings(DEBUG=True):
            try:
                raise ValueError(str(self.cap))
            except ValueError:
                page = debug.technical_500_response(self.request, *sys.exc_info())  # type: ignore[arg-type]
        self.assertIn("<h1>Sorry</h1>", page.text)
        self.assert_no_caps(page.text)

    def test_a_filter_of_the_project(self) -> None:
        self.addCleanup(debug.get_default_exception_reporter_filter.cache_clear)
        debug.get_default_exception_reporter_filter.cache_clear()
        path = f"{__name__}.{FilterOfTheProject.__name__}"
        with override_settings(DEFAULT_EXCEPTION_REPORTER_FILTER=path):
            self.assert_filtered_by_the_project()

    def test_a_filter_of_the_project_for_one_request(self) -> None:
        self.request.exception_reporter_filter = FilterOfTheProject()  # type: ignore[attr-defined]
        self.assert_filtered_by_the_project()

    def assert_filtered_by_the_project(self) -> None:
        with override_settings(SOME_KEY="some key", DEBUG=True):
            page = self.report().get_traceback_html()
        self.assertIn("hidden by the project", page)
        self.assertIn("by the project, &lt;Cap", page)
        self.assertNotIn("some key", page)
        self.assert_no_caps(page)

    def test_variables_that_are_long_or_whose_repr_fails(self) -> None:
        class Broken:
            def __repr__(self) -> str:
                raise LookupError("broken")

        def fail() -> None:
            cap = str(self.cap)
            broken, text, data = Broken(), "a b " * 10**4, cap.encode() * 10  # noqa: F841
            raise ValueError

        self.patch(reporter, "_LONGEST", 10_000)
        try:
            fail()
        except ValueError as error:
            report = RedactingExceptionReporter(None, type(error), error, error.__traceback__)
        page = report.get_traceback_html()
        self.assert_no_caps(page)
        self.assertIn("Error in formatting: LookupError: broken", page)
        self.assertIn("trimmed", page)

    def test_an_email_handler_of_the_project(self) -> None:
        sent: list[str] = []

        class Handler(AdminEmailHandler):
            def send_mail(self, subject: str, message: str, *args: Any, **kwargs: Any) -> None:
                sent.extend([subject, message, kwargs["html_message"]])

        record = logging.LogRecord("a", logging.ERROR, "f", 1, "of %s", (str(self.cap),), None)
        handler = Handler(include_html=True, reporter_class=f"{__name__}.ReportOfTheProject")
        handler.addFilter(RedactCaps())
        handler.handle(record)
        self.assertEqual(len(sent), 3)
        for text in sent:
            self.assert_no_caps(text)
            self.assertIn(self.cap.fingerprint, text)


class Settings(ReportTestCase):
    """After the start of Django, no setting shows a cap."""

    def written(self, **options: Any) -> dict[str, Any]:
        backend = f"{TahoeStorage.__module__}.{TahoeStorage.__name__}"
        other = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
        return {
            "TAHOE_STORAGE_BASE_CAP": str(self.cap),
            "STORAGES": {"default": {"BACKEND": backend, "OPTIONS": options}, "other": other},
        }

    def test_storages_work_with_hidden_caps(self) -> None:
        url = "http://127.0.0.1:1/"
        with override_settings(**self.written(tahoe_base_cap=str(self.cap), tahoe_base_url=url)):
            before = conf.connection(settings.STORAGES["default"]["OPTIONS"])
            conf.hide_caps()
            self.assert_no_caps(repr(settings.STORAGES) + repr(settings.TAHOE_STORAGE_BASE_CAP))
            self.assertEqual(conf.connection(settings.STORAGES["default"]["OPTIONS"]), before)
            self.assertEqual(conf.base_cap({}), self.cap)
            self.assertEqual(str(settings.TAHOE_STORAGE_BASE_CAP), str(self.cap))
            self.assertEqual(list(settings.STORAGES["other"]), ["BACKEND"])
            conf.hide_caps()
            self.assertEqual(conf.base_cap({}), self.cap)

    def test_a_malformed_cap_is_hidden_and_stays_wrong(self) -> None:
        cut = str(self.cap)[:-5]
        with override_settings(TAHOE_STORAGE_BASE_CAP=cut, STORAGES={"a": {"BACKEND": "b"}}):
            conf.hide_caps()
            self.assertIsInstance(settings.TAHOE_STORAGE_BASE_CAP, BadCap)
            self.assert_no_caps(repr(settings.TAHOE_STORAGE_BASE_CAP))
            with self.assertRaisesRegex(Exception, "malformed"):
                conf.base_cap({})

    def test_options_of_a_wrong_type_are_left_to_the_checks(self) -> None:
        storages = {"a": {"BACKEND": "b", "OPTIONS": ["media"]}}
        with override_settings(STORAGES=storages):
            conf.hide_caps()
            self.assertEqual(settings.STORAGES, storages)

    def test_diffsettings(self) -> None:
        module = Path("written_settings.py").absolute()
        written = {"INSTALLED_APPS": ["tahoestorage"], "SECRET_KEY": "-"}
        written |= self.written(tahoe_base_cap=str(self.cap))
        module.write_text("".join(f"{name} = {value!r}\n" for name, value in written.items()))
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": module.stem,
            "PYTHONPATH": f"{module.parent}:{CHECKOUT}",
        }
        printed = subprocess.run(
            [sys.executable, "-m", "django", "diffsettings", "--all", "--output=unified"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        self.assert_no_caps(printed)
        self.assertIn(f"TAHOE_STORAGE_BASE_CAP = {self.cap!r}", printed)
        self.assertIn(f"'tahoe_base_cap': {self.cap!r}", printed)
