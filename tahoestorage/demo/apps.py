"""The Django app of the demo."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "tahoestorage.demo"
    label = "tahoe_demo"
    verbose_name = "Files on the grid"
    default_auto_field = "django.db.models.BigAutoField"
