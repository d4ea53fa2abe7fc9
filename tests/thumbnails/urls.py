"""URLs of a site that serves filer's private files to users who may read them."""

from __future__ import annotations

from django.http import HttpRequest
from django.urls import include, path
from filer.models import File
from filer.utils.filer_easy_thumbnails import thumbnail_to_original_filename


def may_read(request: HttpRequest, name: str) -> bool:
    """Ask filer. A user who may read a file may read its thumbnails."""
    if name.startswith("thumbnails/"):
        name = thumbnail_to_original_filename(name.removeprefix("thumbnails/")) or ""
    file = File.objects.filter(file=name, is_public=False).first()
    return file is not None and bool(file.has_read_permission(request))


urlpatterns = [
    path(
        "private/",
        include("tahoestorage.urls"),
        {"storage": "private", "permission": may_read},
    ),
]
