"""The settings with which Django's own `runtests.py` runs its tests."""

import os

os.environ["RUNNING_DJANGOS_TEST_SUITE"] = "true"

from runtests import ALWAYS_INSTALLED_APPS, ALWAYS_MIDDLEWARE, TEMPLATE_DIR  # noqa: E402
from test_sqlite import *  # noqa: E402, F403

INSTALLED_APPS = [*ALWAYS_INSTALLED_APPS, *os.environ["SUITE_APPS"].split()]
MIDDLEWARE = ALWAYS_MIDDLEWARE
ROOT_URLCONF = "urls"
STATIC_URL = "static/"
STATIC_ROOT = os.path.join(os.environ["TMPDIR"], "static")
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [TEMPLATE_DIR],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]
LANGUAGE_CODE = "en"
SITE_ID = 1
MIGRATION_MODULES = {"auth": None, "contenttypes": None, "sessions": None}
