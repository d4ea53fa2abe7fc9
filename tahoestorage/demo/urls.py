"""The URLs of the site."""

from django.contrib import admin
from django.urls import path, re_path

from tahoestorage.demo import views

KIND = r"^(?P<kind>documents|pictures)/"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", views.index, name="index"),
    re_path(rf"{KIND}$", views.upload, name="upload"),
    re_path(rf"{KIND}(?P<number>\d+)/$", views.download, name="download"),
    re_path(rf"{KIND}(?P<number>\d+)/delete/$", views.delete, name="delete"),
]
