"""A site that serves the files of a tree, for server processes: `wsgi` and `asgi`."""

from __future__ import annotations

import os
from typing import Any

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import include, path


def process(request: HttpRequest) -> JsonResponse:
    """The number of the process that answers."""
    return JsonResponse(os.getpid(), safe=False)


urlpatterns = [path("process", process), path("media/", include("tahoestorage.urls"))]
wsgi: Any = get_wsgi_application()
asgi: Any = get_asgi_application()
