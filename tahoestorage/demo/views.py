"""The page of the site, and the actions of its buttons and links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.forms import ModelForm, modelform_factory
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from tahoestorage.demo.models import Document, Picture, Upload

if TYPE_CHECKING:  # no generic at run time
    Form = ModelForm[Any]

KINDS: dict[str, type[Upload]] = {"documents": Document, "pictures": Picture}
ON_A_PAGE = 20


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The page."""
    return page(request)


def upload(request: HttpRequest, kind: str) -> HttpResponse:
    """Save a file. The answer comes only after the file is on the grid."""
    if request.method != "POST":
        return page(request)
    form = _form(kind, request.POST, request.FILES)
    if not form.is_valid():
        return page(request, {kind: form}, status=400)
    messages.success(request, f"“{form.save()}” is on the grid.")
    return redirect("index")


@require_safe
def download(request: HttpRequest, kind: str, number: str) -> HttpResponse:
    """
    Redirect to the public URL of a file.

    A URL costs a request to the grid. The list links here, so that only an opened file costs one.
    """
    return redirect(get_object_or_404(KINDS[kind], pk=number).file.url)


@require_POST
def delete(request: HttpRequest, kind: str, number: str) -> HttpResponse:
    """Delete a file."""
    chosen = get_object_or_404(KINDS[kind], pk=number)
    name = str(chosen)
    chosen.delete()
    messages.success(request, f"“{name}” is deleted.")
    return redirect("index")


def page(
    request: HttpRequest,
    forms: Mapping[str, Form] | None = None,
    *,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    """The page, with filled-in `forms` by kind, and with a sentence about a problem."""
    sections = [
        {
            "kind": kind,
            "form": (forms or {}).get(kind) or _form(kind),
            "uploads": Paginator(model._default_manager.all(), ON_A_PAGE).get_page(
                request.GET.get(kind)
            ),
        }
        for kind, model in KINDS.items()
    ]
    context = {"sections": sections, "problem": problem}
    return render(request, "tahoe_demo/page.html", context, status=status)


def _form(kind: str, data: Any = None, files: Any = None) -> Form:
    return modelform_factory(KINDS[kind], fields=["file"])(data, files, auto_id=f"{kind}-%s")
