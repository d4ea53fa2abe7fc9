"""URLs of a site that serves no files."""

from typing import Any

urlpatterns: list[Any] = []
