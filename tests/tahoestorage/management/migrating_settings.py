"""Settings of a site that moves its files to a grid, and back to another folder."""

import os

SECRET_KEY = "not a secret: these are tests"
INSTALLED_APPS = ["tahoestorage"]
TAHOE_STORAGE_BASE_URL = os.environ["GATEWAYS"].split()
TAHOE_STORAGE_BASE_CAP = os.environ["CAP"]
_FILES = "django.core.files.storage.FileSystemStorage"
STORAGES = {
    "default": {"BACKEND": _FILES, "OPTIONS": {"location": os.environ["MEDIA"]}},
    "grid": {"BACKEND": "tahoestorage.storage.TahoeStorage"},
    "back": {"BACKEND": _FILES, "OPTIONS": {"location": os.environ["BACK"]}},
}
