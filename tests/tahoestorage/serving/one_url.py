"""URLs of a site that serves the files of its default storage."""

from django.urls import include, path

urlpatterns = [path("files/", include("tahoestorage.urls"))]
