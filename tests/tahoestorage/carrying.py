"""An app of a project, with files whose names carry their caps; a test installs it."""

from __future__ import annotations

from typing import Any

from django.db import models

from tahoestorage.capstorage import TahoeCapStorage


class Living(models.Manager):  # type: ignore[type-arg]
    """Hides rows, as soft deletion does."""

    def get_queryset(self) -> Any:
        return super().get_queryset().filter(is_deleted=False)


class Carrying(models.Model):
    report = models.FileField(upload_to="reports", storage=TahoeCapStorage(), max_length=255)
    other = models.FileField(storage=TahoeCapStorage(), max_length=255, null=True)
    elsewhere = models.FileField(storage=TahoeCapStorage(location="elsewhere"), max_length=500)
    is_deleted = models.BooleanField(default=False)
    objects = Living()

    class Meta:
        app_label = "carrying"
        base_manager_name = "objects"


class CarryingMore(Carrying):
    more = models.FileField(storage=TahoeCapStorage(), max_length=255)

    class Meta:
        app_label = "carrying"


class CarryingProxy(Carrying):
    class Meta:
        app_label = "carrying"
        proxy = True
