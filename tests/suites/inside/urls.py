"""The URLs of a suite, and before them those of the files."""

from django.conf import settings
from django.urls import include, path

media = settings.MEDIA_URL.lstrip("/") or "media/"
urlpatterns = [path(media, include("tahoestorage.urls"))]
if settings.SUITE_URLCONF:
    urlpatterns.append(path("", include(settings.SUITE_URLCONF)))
