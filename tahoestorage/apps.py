"""The Django app: it registers the system checks, and lets no report of errors show a cap."""

from django.apps import AppConfig


class TahoeStorageConfig(AppConfig):
    name = "tahoestorage"
    verbose_name = "Tahoe-LAFS storage"

    def ready(self) -> None:
        from tahoestorage import (
            checks,  # noqa: F401 - registers itself
            conf,
            debug,
            deployment,  # noqa: F401 - registers itself
            logs,
            sitechecks,  # noqa: F401 - registers itself
        )

        conf.hide_caps()
        logs.install()
        debug.install()
