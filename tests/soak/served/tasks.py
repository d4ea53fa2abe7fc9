"""The operations of the site for Celery, with Redis between."""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from typing import Any

import django
from celery import Celery
from django.core.files.base import ContentFile

django.setup()

from served import work  # noqa: E402 - models, once Django is set up

app = Celery("served", broker=os.environ["SERVED_QUEUE"], backend=os.environ["SERVED_QUEUE"])
app.conf.result_expires = 60  # contents of files are among the results


@app.task
def do(operation: str, names: list[str], content: str | None) -> dict[str, Any]:
    files = [] if content is None else [ContentFile(b64decode(content), names[0])]
    try:
        result = work.do(operation, *names, *files)
        if hasattr(result, "chunks"):
            with result:
                return {"content": b64encode(result.read()).decode()}
    except OSError as error:
        return work.told(error)
    return {"value": result}
