"""A site with two admins: Django's own, and one that a project makes for itself."""

from django.contrib import admin
from django.urls import path

from tahoestorage.admin import GridAdmin
from tahoestorage.models import Grid

other = admin.AdminSite("other")
other.register(Grid, GridAdmin)

urlpatterns = [path("admin/", admin.site.urls), path("other/", other.urls)]
