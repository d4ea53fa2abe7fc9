"""The demo's settings, for many processes at once."""

from tahoestorage.demo.settings import *  # noqa: F403
from tahoestorage.demo.settings import DATABASES, MIDDLEWARE

DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "served.urls"
DATABASES["default"]["OPTIONS"] = {"timeout": 60}
MIDDLEWARE = [*MIDDLEWARE, "served.views.Endings"]
# Django's reloader tells which files it has seen.
LOGGING = {
    "version": 1,
    "handlers": {"output": {"class": "logging.StreamHandler"}},
    "loggers": {"django.utils.autoreload": {"level": "DEBUG", "handlers": ["output"]}},
}
