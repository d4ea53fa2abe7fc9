"""
Settings of the demo's site.

The first three are all that a site needs for its files to be on a grid. The others are those of
any small site.
"""

from tahoestorage.demo.folder import DemoFolder
from txtahoe.caps import Cap

folder = DemoFolder.of_environment()
kept = folder.values()

TAHOE_STORAGE_BASE_URL = kept["gateway"]
# A string would do. A Cap does not show itself on Django's error pages.
TAHOE_STORAGE_BASE_CAP = Cap.parse(kept["base_cap"])
# In production this is not the gateway, with which everybody could write, but the address of a
# proxy in front of it that lets nothing through but GET and HEAD of /named/.
TAHOE_PUBLIC_BASE_URL = kept["gateway"]

SECRET_KEY = kept["secret_key"]
DEBUG = True  # The command serves nothing but loopback.
ROOT_URLCONF = "tahoestorage.demo.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder.database}}
STATIC_URL = "static/"
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
