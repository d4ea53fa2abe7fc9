"""The Django app: it registers the system checks, and lets no report of errors show a cap."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy


class TahoeStorageConfig(AppConfig):
    name = "tahoestorage"
    verbose_name = gettext_lazy("Tahoe-LAFS storage")

    def ready(self) -> None:
        from tahoestorage import conf, debug, logs
        from tahoestorage.checks import (  # noqa: F401 - they register themselves
            deployment,
            mounts,
            site,
            storages,
        )

        conf.hide_caps()
        logs.install()
        debug.install()
