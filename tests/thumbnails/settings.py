"""Settings of a site that has all of the libraries."""

import os
from typing import Any

SECRET_KEY = "not a secret: these are tests"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "tahoestorage",
    "tests.thumbnails",
    "easy_thumbnails",
    "filer",
    "polymorphic",
    "imagekit",
    "sorl.thumbnail",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
# Django makes the tables from the models, which is faster than migrations.
MIGRATION_MODULES = {name.rpartition(".")[2]: None for name in INSTALLED_APPS}

# Each test sets the gateway and the cap.
TAHOE_PUBLIC_BASE_URL = os.environ["GATEWAY"]
TAHOE_STORAGE = "tahoestorage.storage.TahoeStorage"
# Also on a slow machine, what the storage knows stays known while requests are counted.
TAHOE_OPTIONS = {"max_age": 600}
PUBLIC = {**TAHOE_OPTIONS, "location": "public"}
# Without a base URL, url() leads to this site, which asks filer who may read.
PRIVATE = {**TAHOE_OPTIONS, "location": "private", "base_url": None}
STORAGES = {
    "default": {"BACKEND": TAHOE_STORAGE, "OPTIONS": TAHOE_OPTIONS},
    "private": {"BACKEND": TAHOE_STORAGE, "OPTIONS": PRIVATE},
}
ROOT_URLCONF = "tests.thumbnails.urls"
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
ALLOWED_HOSTS = ["*"]


def _filer_storages(options: dict[str, Any]) -> dict[str, dict[str, Any]]:
    storage = {"ENGINE": TAHOE_STORAGE, "OPTIONS": options}
    return {
        "main": {**storage, "UPLOAD_TO": "filer.utils.generate_filename.randomized"},
        "thumbnails": {**storage, "THUMBNAIL_OPTIONS": {"base_dir": "thumbnails"}},
    }


IMAGEKIT_CACHEFILE_DIR = "thumbnails"
FILER_STORAGES = {"public": _filer_storages(PUBLIC), "private": _filer_storages(PRIVATE)}
