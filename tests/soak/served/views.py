"""The work of the site over HTTP. Every answer says which process gave it."""

from __future__ import annotations

import os
from typing import Any

from asgiref.sync import sync_to_async
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from served import work


def do(request: HttpRequest, operation: str) -> HttpResponseBase:
    try:
        result = work.do(operation, *_arguments(request))
    except OSError as error:
        return _answer(work.told(error), 503)
    return _signed(FileResponse(result)) if hasattr(result, "chunks") else _answer(result)


async def ado(request: HttpRequest, operation: str) -> HttpResponseBase:
    try:
        result = await work.ado(operation, *await sync_to_async(_arguments)(request))
        if hasattr(result, "chunks"):
            async with result:
                return _signed(HttpResponse(await result.aread()))
    except OSError as error:
        return _answer(work.told(error), 503)
    return _answer(result)


def _arguments(request: HttpRequest) -> list[Any]:
    return [*request.GET.getlist("name"), *request.FILES.values()]


def _answer(value: Any, status: int = 200) -> HttpResponseBase:
    return _signed(JsonResponse(value, safe=False, status=status))


def _signed(answer: HttpResponseBase) -> HttpResponseBase:
    answer.headers["X-Process"] = str(os.getpid())
    return answer
