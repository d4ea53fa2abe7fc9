"""A site whose views fail, with caps in everything that Django shows of a failure."""

from __future__ import annotations

import importlib.util
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.template import Engine
from django.urls import path
from django.views.decorators.debug import sensitive_variables

from tahoestorage.reactor.waiting import done
from tahoestorage.storage import storage_of
from tests.secrets.forms import forms


def caps(name: str) -> list[str]:
    """The caps of a file, of its directory and of the root, with all rights."""
    storage = storage_of()
    nodes = [done(storage.operations.node(part)) for part in (name, name.rpartition("/")[0])]
    found = [storage.place[0].base_cap, *(node.cap for node in nodes)]
    found += [cap.reader for cap in found]
    found += [cap.verifier for cap in found if cap.verifier]
    return sorted({str(cap) for cap in found})


class Shown:
    """An object with a repr of its own."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"<Shown {self.text}>"


@sensitive_variables("hidden")
def variables(request: HttpRequest, name: str) -> HttpResponse:
    hidden = "never shown in a mail"
    url = storage_of().url(name)
    held = caps(name)
    for cap in held:
        every_form = forms(cap)
        in_bytes = {key: form.encode() for key, form in every_form.items()}
        pieces = cap.split(":")
        deep = [Shown(cap), {cap: (Shown(url), {cap.encode() * 3})}]
        long = f"{'x' * 4000}{cap}{'x' * 4000}"
        try:
            raise ValueError(f"in a note, {cap}", cap.encode(), every_form)
        except ValueError as error:
            error.add_note(f"note: {cap}")
            if cap == held[-1]:
                given = [in_bytes, pieces, deep, long, hidden, request.GET, request.POST]
                raise LookupError(f"{url} of {cap}, {len(given)}") from error
    raise AssertionError


def template(request: HttpRequest, name: str) -> HttpResponse:
    """Django shows the source of a template."""
    lines = "\n".join(f"<a href='{cap}'>{{# {cap} #}}</a>" for cap in caps(name))
    Engine(debug=True).from_string(f"{lines}\n<a href='{caps(name)[0]}'>{{% fail %}}</a>\n{lines}")
    raise AssertionError


def source(request: HttpRequest, name: str) -> HttpResponse:
    """Django shows the lines around the one that fails, such as those of a settings module."""
    assert request.GET["module"]
    spec: Any = importlib.util.spec_from_file_location("written", request.GET["module"])
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    raise AssertionError


def missing(request: HttpRequest, name: str) -> HttpResponse:
    raise Http404(f"Nothing at {storage_of().url(name)}")


def suspicious(request: HttpRequest, name: str) -> HttpResponse:
    raise SuspiciousOperation(storage_of().url(name))


def fine(request: HttpRequest, name: str) -> HttpResponse:
    return HttpResponse("fine")


async def asynchronous(request: HttpRequest, name: str) -> HttpResponse:
    url = await storage_of().aurl(name)
    raise LookupError(len(url))


_views = (variables, template, source, missing, suspicious, fine, asynchronous)
urlpatterns = [path(f"{view.__name__}/<path:name>", view) for view in _views]
