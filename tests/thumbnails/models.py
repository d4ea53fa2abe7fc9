"""A model for each of the libraries that have fields."""

from __future__ import annotations

from django.db import models
from easy_thumbnails.fields import ThumbnailerImageField
from imagekit.models import ImageSpecField, ProcessedImageField
from imagekit.processors import ResizeToFill
from sorl.thumbnail import ImageField

from tahoestorage.storage import TahoeStorage


class EasyPhoto(models.Model):
    image = ThumbnailerImageField(upload_to="photos/2026")
    reduced = ThumbnailerImageField(upload_to="reduced", resize_source={"size": (200, 200)})


class SorlPhoto(models.Model):
    image = ImageField(upload_to="photos")


class KitPhoto(models.Model):
    image = models.ImageField(upload_to="photos")
    reduced = ProcessedImageField([ResizeToFill(200, 100)], "JPEG", upload_to="reduced")
    small = ImageSpecField([ResizeToFill(40, 30)], "PNG", source="image")
    replaced = ImageSpecField(
        [ResizeToFill(20, 20)],
        "JPEG",
        source="image",
        cachefile_storage=TahoeStorage(allow_overwrite=True),
    )
