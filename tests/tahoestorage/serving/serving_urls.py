"""URLs of a site that serves its files: public ones, guarded ones, and signed ones."""

from __future__ import annotations

from django.http import HttpRequest
from django.urls import include, path


def may_read(request: HttpRequest, name: str) -> bool:
    return request.headers.get("X-Reader") == "yes" and not name.startswith("secret")


urlpatterns = [
    path("media/", include("tahoestorage.urls")),
    path(
        "private/",
        include("tahoestorage.urls", namespace="private"),
        {"storage": "private", "permission": may_read},
    ),
    path("signed/", include("tahoestorage.urls", namespace="signed"), {"storage": "signed"}),
]
