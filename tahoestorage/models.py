"""A model without a table, which puts the grid's page and its permissions into the admin."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy


class _NoRows(models.Manager[Any]):
    """Never ask the database: `dumpdata` and others ask every model, and there is no table."""

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().none()


class Grid(models.Model):
    """The grids of this site's storages, for `tahoestorage.admin`."""

    name: models.TextField[str, str] = models.TextField(primary_key=True)

    objects = _NoRows()

    class Meta:
        managed = False
        base_manager_name = "objects"
        default_permissions = ("view",)
        permissions = (
            ("check_grid", "Can check and repair files on the Tahoe grid"),
            ("open_grid", "Can open files on the Tahoe grid"),
        )
        verbose_name = verbose_name_plural = gettext_lazy("Tahoe grid")

    def __str__(self) -> str:
        return self.name
