"""The file fields of the project's models."""

from __future__ import annotations

from collections.abc import Iterator

from django.apps import apps
from django.db.models import FileField, Model


def every_file_field() -> Iterator[tuple[type[Model], FileField]]:
    """Each one with the model that has its column: a proxy has none, a child not its parent's."""
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.local_fields:
            if isinstance(field, FileField):
                yield model, field
