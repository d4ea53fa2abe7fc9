"""Settings of the tests."""

SECRET_KEY = "not a secret: these are tests"
USE_TZ = True
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "tahoestorage"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_EXCEPTION_REPORTER = "tahoestorage.redaction.reporter.RedactingExceptionReporter"
