"""Documents and pictures, whose files are on the grid."""

# mypy: disable-error-code="var-annotated"
# The plugin knows only models of installed apps; the settings that it reads leave this one out.

from __future__ import annotations

import posixpath
from typing import Any

from django.db import models
from django.db.models.signals import pre_delete
from django.dispatch import receiver

from tahoestorage.storage import TahoeStorage

ts = TahoeStorage()


class Upload(models.Model):
    """A file with its size and time, which the page shows without a request to the grid."""

    file: models.FileField
    size = models.PositiveBigIntegerField(editable=False)
    uploaded = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
        ordering = ("-uploaded", "-pk")

    def __str__(self) -> str:
        return posixpath.basename(self.file.name or "")

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.size = self.file.size
        super().save(*args, **kwargs)


class Document(Upload):
    """A file of any kind."""

    file = models.FileField(upload_to="demo/documents/", storage=ts)


class Picture(Upload):
    """A file that Pillow can read."""

    file = models.ImageField(
        upload_to="demo/pictures/", storage=ts, width_field="width", height_field="height"
    )
    width = models.PositiveIntegerField(editable=False)
    height = models.PositiveIntegerField(editable=False)


@receiver(pre_delete, sender=Document)
@receiver(pre_delete, sender=Picture)
def delete_file(instance: Upload, **kwargs: Any) -> None:
    """Delete the file before its row. Django itself would leave the file on the grid."""
    instance.file.delete(save=False)
