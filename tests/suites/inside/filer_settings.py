"""The settings with which django-filer's own tests run."""

from tahoe_suites.templates import TEMPLATES  # noqa: F401

from tests.settings import HELPER_SETTINGS

globals().update(HELPER_SETTINGS)
SITE_ID = 1
STATIC_URL = "/static/"
MEDIA_URL = "/media/"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.locale.LocaleMiddleware",
]
INSTALLED_APPS = [
    *map("django.contrib.{}".format, ("contenttypes", "auth", "sessions", "sites")),
    *map("django.contrib.{}".format, ("staticfiles", "admin", "messages")),
    *HELPER_SETTINGS["INSTALLED_APPS"],
]
