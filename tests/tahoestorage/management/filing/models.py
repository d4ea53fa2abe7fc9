"""Files in fields of every kind."""

from __future__ import annotations

from typing import Any

from django.core.files.storage import FileSystemStorage, storages
from django.db import models

from tahoestorage.storage import TahoeStorage


def private() -> Any:
    return storages["private"]


def anywhere(instance: Any, filename: str) -> str:
    return f"anywhere/{instance.pk}/{filename}"


class Hidden(models.Manager):  # type: ignore[type-arg]
    def get_queryset(self) -> Any:
        return super().get_queryset().none()


class Document(models.Model):
    file = models.FileField(upload_to="documents/%Y")
    objects = Hidden()


class Letter(Document):
    """Its parent has a column of its own."""

    scan = models.FileField(upload_to="scans", null=True, max_length=300)


class Draft(Document):
    """The same table."""

    class Meta:
        proxy = True


class Secret(models.Model):
    file = models.FileField(upload_to="documents/%Y", storage=private)


class Loose(models.Model):
    file = models.FileField(upload_to=anywhere)
    local = models.FileField(upload_to="documents/%Y", storage=FileSystemStorage("/nowhere"))


class Outer(models.Model):
    """A storage around the others, with the same cap."""

    file = models.FileField(storage=TahoeStorage())


class Unmade(models.Model):
    """Without a table."""

    file = models.FileField(upload_to="unmade")

    class Meta:
        managed = False
