"""Shows the page with one sentence about the problem when the grid fails."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from tahoestorage.demo.views import page
from txtahoe.errors import TahoeError

View = Callable[[HttpRequest], HttpResponse]


class GridErrors:
    """Answer every error of the grid with 404 for a missing file, else with 503."""

    def __init__(self, get_response: View) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, problem: Exception) -> HttpResponse | None:
        if not isinstance(problem, TahoeError):
            return None
        status = 404 if isinstance(problem, FileNotFoundError) else 503
        return page(request, problem=str(problem), status=status)
