"""The file fields of the project's models."""

from __future__ import annotations

from collections.abc import Iterator

from django.apps import apps
from django.db.models import FileField

from tahoestorage.storage import TahoeStorage


def fields_of(kind: type[TahoeStorage]) -> Iterator[FileField]:
    """The file fields whose storage is of this kind, each once: in the model that has its table."""
    for model in apps.get_models(include_auto_created=True):
        if model._meta.proxy:
            continue
        for field in model._meta.local_fields:
            if isinstance(field, FileField) and isinstance(field.storage, kind):
                yield field
