"""The settings with which Django's own `runtests.py` runs its tests."""

import os

from tahoe_suites.templates import TEMPLATES

os.environ["RUNNING_DJANGOS_TEST_SUITE"] = "true"

from runtests import ALWAYS_INSTALLED_APPS, ALWAYS_MIDDLEWARE, TEMPLATE_DIR  # noqa: E402
from test_sqlite import *  # noqa: E402, F403

TEMPLATES[0]["DIRS"] = [TEMPLATE_DIR]
TESTED = {path.partition("/")[0] for path in os.environ["SUITE_TESTS"].split()}
INSTALLED_APPS = [*ALWAYS_INSTALLED_APPS, *sorted(TESTED)]
MIDDLEWARE = ALWAYS_MIDDLEWARE
ROOT_URLCONF = "urls"
STATIC_URL = "static/"
STATIC_ROOT = os.path.join(os.environ["TMPDIR"], "static")
LANGUAGE_CODE = "en"
SITE_ID = 1
MIGRATION_MODULES = {"auth": None, "contenttypes": None, "sessions": None}
