"""The demo's documents for Celery, with Redis between."""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from typing import Any

import django
from celery import Celery
from django.core.files.base import ContentFile

django.setup()

from served import documents  # noqa: E402 - models, once Django is set up

app = Celery("served", broker=os.environ["SERVED_QUEUE"], backend=os.environ["SERVED_QUEUE"])
documents.use_before_fork()


def answer(**values: Any) -> dict[str, Any]:
    return {"process": os.getpid(), **values}


@app.task
def upload(name: str, content: str) -> dict[str, Any]:
    return answer(number=documents.upload(ContentFile(b64decode(content), name)).pk)


@app.task
def read(number: int) -> dict[str, Any]:
    with documents.chosen(number).file.open() as file:
        return answer(content=b64encode(file.read()).decode())


@app.task
def names() -> dict[str, Any]:
    return answer(names=documents.names())


@app.task
def delete(number: int) -> dict[str, Any]:
    documents.chosen(number).delete()
    return answer()
