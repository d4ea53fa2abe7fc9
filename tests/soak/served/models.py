"""Rows with the names of files that carry their caps; `tahoe anchor` links these files."""

from __future__ import annotations

from django.core.files.storage import storages
from django.db import models


class Kept(models.Model):
    file = models.FileField(upload_to="kept/", storage=storages["caps"], max_length=255)
