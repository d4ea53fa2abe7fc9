"""The addresses of the site."""

from django.contrib import admin
from django.urls import path

from tahoestorage.demo import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", views.index, name="index"),
    path("<slug:kind>/", views.upload, name="upload"),
    path("<slug:kind>/<int:number>/", views.download, name="download"),
    path("<slug:kind>/<int:number>/delete/", views.delete, name="delete"),
]
