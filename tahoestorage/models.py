"""What gives the admin's page its place in the index, and its permissions; no table."""

from __future__ import annotations

from typing import Any

from django.db import models


class _NoRows(models.Manager[Any]):
    """There is nothing to ask a database for: `dumpdata`, for one, asks every model."""

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
        permissions = (("check_grid", "Can check and repair files on the Tahoe grid"),)
        verbose_name = verbose_name_plural = "Tahoe grid"

    def __str__(self) -> str:
        return self.name
