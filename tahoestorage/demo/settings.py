"""
Settings of the demo's site.

A site needs only the first three to keep its files on a grid. Any small site has the others.
"""

import os
from pathlib import Path

FOLDER = Path(os.environ["TAHOE_DEMO_FOLDER"])

TAHOE_STORAGE_BASE_URL = os.environ["TAHOE_DEMO_GATEWAY"]
TAHOE_STORAGE_BASE_CAP_FILE = FOLDER / "tahoe.cap"
# In production, name a proxy in front of the gateway that passes only GET and HEAD of /named/:
# anyone who can reach a gateway can write with it.
TAHOE_PUBLIC_BASE_URL = TAHOE_STORAGE_BASE_URL

# The command serves only loopback, and the password is public.
SECRET_KEY = "django-insecure-demo"  # noqa: S105
DEBUG = True
ROOT_URLCONF = "tahoestorage.demo.urls"
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "database.sqlite3"}
}
STATIC_URL = "static/"
# Error pages and error mails show no caps.
DEFAULT_EXCEPTION_REPORTER = "tahoestorage.redaction.reporter.RedactingExceptionReporter"
TIME_ZONE = "UTC"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "tahoestorage",
    "tahoestorage.demo",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "tahoestorage.demo.middleware.GridErrors",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
