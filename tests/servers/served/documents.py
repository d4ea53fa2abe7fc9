"""The demo's documents, by their numbers."""

from __future__ import annotations

import os
from typing import Any

from django.core.files.base import ContentFile
from django.forms import ModelForm, modelform_factory

from tahoestorage.demo.models import Document, ts

Form: type[ModelForm[Any]] = modelform_factory(Document, fields=["file"])


def upload(file: Any) -> Document:
    """A new document, whose name says which process has made it."""
    file.name = f"{file.name}--process-{os.getpid()}.bin"
    form = Form({}, {"file": file})
    document: Document = form.save()
    return document


def chosen(number: int) -> Document:
    return Document.objects.get(pk=number)


def names() -> list[str]:
    """The documents on the grid."""
    return ts.listdir("demo/documents")[1]


def use_before_fork() -> None:
    """Use the storage before the workers are forked: connections and open files exist then."""
    if "SERVED_USE_BEFORE_FORK" in os.environ:
        upload(ContentFile(os.urandom(1000), "before-fork"))
        names()
