"""The operations of the site over HTTP."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from served import work


def do(request: HttpRequest, operation: str) -> HttpResponseBase:
    try:
        result = work.do(operation, *_arguments(request))
    except OSError as error:
        return _answer(work.told(error), 503)
    return FileResponse(result) if hasattr(result, "chunks") else _answer(result)


async def ado(request: HttpRequest, operation: str) -> HttpResponseBase:
    try:
        result = await work.ado(operation, *await sync_to_async(_arguments)(request))
        if hasattr(result, "chunks"):
            async with result:
                return HttpResponse(await result.aread())
    except OSError as error:
        return _answer(work.told(error), 503)
    return _answer(result)


def _arguments(request: HttpRequest) -> list[Any]:
    return [*request.GET.getlist("name"), *request.FILES.values()]


def _answer(value: Any, status: int = 200) -> HttpResponseBase:
    return JsonResponse(value, safe=False, status=status)
