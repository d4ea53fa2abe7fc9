"""The Django app, which registers the system checks and hides caps in settings and logs."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy


class TahoeStorageConfig(AppConfig):
    name = "tahoestorage"
    verbose_name = gettext_lazy("Tahoe-LAFS storage")

    def ready(self) -> None:
        from tahoestorage import conf, logs

        # They register themselves.
        from tahoestorage.checks import deployment, mounts, options, site  # noqa: F401

        conf.hide_caps()
        logs.install()
