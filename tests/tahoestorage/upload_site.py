"""A site that takes uploads, for a server process of its own and for Django's test clients."""

from __future__ import annotations

import os
from typing import Any

from asgiref.sync import sync_to_async
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from tahoestorage.storage import TahoeStorage


def save(request: HttpRequest) -> JsonResponse:
    """Save every file under its own name; tell of them and of this process."""
    storage = TahoeStorage()
    told: dict[str, Any] = {
        field: [type(file).__name__, file.size, storage.save(str(file.name), file)]
        for field, file in request.FILES.items()
    }
    return JsonResponse({"process": os.getpid(), "files": told})


async def parse(request: HttpRequest) -> JsonResponse:
    """Look at the files in the thread of the event loop."""
    return JsonResponse({field: type(file).__name__ for field, file in request.FILES.items()})


async def save_later(request: HttpRequest) -> JsonResponse:
    """Parse in a thread, save in the event loop."""
    files = await sync_to_async(lambda: request.FILES)()
    storage = TahoeStorage()
    return JsonResponse(
        {field: await storage.asave(str(file.name), file) for field, file in files.items()}
    )


urlpatterns = [path("", save), path("parse", parse), path("save_later", save_later)]


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """For a WSGI server."""
    return get_wsgi_application()(environ, start_response)
