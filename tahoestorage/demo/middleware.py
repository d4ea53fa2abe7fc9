"""Shows the page with one sentence about the problem when the grid fails."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from tahoestorage.demo.views import page
from txtahoe.errors import TahoeError


class GridErrors(MiddlewareMixin):
    """Answer every error of the grid with 404 for a missing file, else with 503."""

    def process_exception(self, request: HttpRequest, problem: Exception) -> HttpResponse | None:
        if not isinstance(problem, TahoeError):
            return None
        status = 404 if isinstance(problem, FileNotFoundError) else 503
        return page(request, problem=str(problem), status=status)
