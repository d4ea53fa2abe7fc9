"""The models in Django's admin."""

from django.contrib import admin

from tahoestorage.demo.models import Document, Picture


@admin.register(Document, Picture)
class UploadAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no generic at run time
    list_display = ("__str__", "size", "uploaded")
    readonly_fields = ("size", "uploaded")
