"""The Django app; it registers the system checks."""

from django.apps import AppConfig


class TahoeStorageConfig(AppConfig):
    name = "tahoestorage"
    verbose_name = "Tahoe-LAFS storage"

    def ready(self) -> None:
        from tahoestorage import checks  # noqa: F401 - registers itself
