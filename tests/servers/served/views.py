"""The demo's documents for programs. Every answer says which process gave it."""

from __future__ import annotations

import os
from collections.abc import Callable

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe
from served import documents


class Endings:
    """Leave a request unanswered when its process ends, as on a reload."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, problem: Exception) -> HttpResponse | None:
        is_ending = isinstance(problem, ConnectionAbortedError)
        return HttpResponse(status=503) if is_ending else None


def signed(answer: HttpResponseBase) -> HttpResponseBase:
    answer.headers["X-Process"] = str(os.getpid())
    return answer


@csrf_exempt
@require_POST
def upload(request: HttpRequest) -> HttpResponseBase:
    document = documents.upload(request.FILES["file"])
    return signed(JsonResponse({"number": document.pk}))


@require_safe
def read(request: HttpRequest, number: int) -> HttpResponseBase:
    return signed(FileResponse(documents.chosen(number).file.open()))


@require_safe
def names(request: HttpRequest) -> HttpResponseBase:
    return signed(JsonResponse({"names": documents.names()}))


@csrf_exempt
@require_POST
def delete(request: HttpRequest, number: int) -> HttpResponseBase:
    documents.chosen(number).delete()
    return signed(JsonResponse({}))
