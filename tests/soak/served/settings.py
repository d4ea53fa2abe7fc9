"""Settings of the site on one of its hosts, which the environment describes."""

import json
import os
import time
from pathlib import Path

HOST = json.loads(os.environ["SOAK_HOST"])

# The clock of this host can be set: the times of a file are the seconds by which it is ahead. This
# comes before others import the function.
_CLOCK, _right_time = Path(HOST["clock"]), time.time
time.time = lambda: _right_time() + _CLOCK.stat().st_mtime

TAHOE_STORAGE_BASE_URL = HOST["gateway"]
TAHOE_PUBLIC_BASE_URL = "https://files.test/"
TAHOE_STORAGE_WRITER_URL = HOST["writer"]
TAHOE_STORAGE_BASE_CAP_FILE = HOST["cap_file"]


def _storage(kind: str, **options: object) -> dict[str, object]:
    return {"BACKEND": f"tahoestorage.{kind}", "OPTIONS": {**HOST["options"], **options}}


STORAGES = {
    "default": _storage("storage.TahoeStorage"),
    "replacing": _storage("storage.TahoeStorage", allow_overwrite=True),
    "caps": _storage("capstorage.TahoeCapStorage"),
}
FILE_UPLOAD_HANDLERS = [
    "tahoestorage.uploadhandler.TahoeUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
SECRET_KEY = "not a secret: this is a test"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "served.urls"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"output": {"class": "logging.StreamHandler"}},
    "loggers": {"django.request": {"handlers": ["output"], "level": "ERROR"}},
}
DEFAULT_EXCEPTION_REPORTER = "tahoestorage.redaction.reporter.RedactingExceptionReporter"
MIDDLEWARE: list[str] = []
INSTALLED_APPS = ["tahoestorage", "served"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": HOST["database"],
        "OPTIONS": {"timeout": 60, "init_command": "PRAGMA journal_mode=WAL"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
