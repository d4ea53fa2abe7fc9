"""An app of a project, with a file; to be installed by a test."""

from __future__ import annotations

from django.db import models

from tahoestorage.storage import TahoeStorage

# As in the design: at import, whatever the settings are.
ts = TahoeStorage()


class Document(models.Model):
    file = models.FileField(upload_to="a/b/c/", storage=ts)

    class Meta:
        app_label = "checked"
