"""
Settings of the demo's site.

A site needs only the first three to keep its files on a grid. Any small site has the others.
"""

from tahoestorage.demo.folder import DemoFolder
from txtahoe.caps import Cap

folder = DemoFolder.of_environment()
kept = folder.values()

TAHOE_STORAGE_BASE_URL = kept["gateway"]
# A string works too. A Cap hides itself on Django's error pages.
TAHOE_STORAGE_BASE_CAP = Cap.parse(kept["base_cap"])
# In production, name a proxy in front of the gateway that passes only GET and HEAD of /named/:
# anyone who can reach a gateway can write with it.
TAHOE_PUBLIC_BASE_URL = kept["gateway"]

SECRET_KEY = kept["secret_key"]
DEBUG = True  # The command serves only loopback.
ROOT_URLCONF = "tahoestorage.demo.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder.database}}
STATIC_URL = "static/"
# Error pages and error mails show no caps.
DEFAULT_EXCEPTION_REPORTER = "tahoestorage.redaction.reporter.RedactingExceptionReporter"
USE_TZ = True
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
