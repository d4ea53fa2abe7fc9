"""The page of the site, and the actions of its buttons and links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen
from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.forms import ModelForm, modelform_factory
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from tahoestorage.demo.models import Document, Picture, Upload

if TYPE_CHECKING:  # no generic at run time
    Form = ModelForm[Any]

KINDS: dict[str, type[Upload]] = {"documents": Document, "pictures": Picture}
ON_A_PAGE = 20


@frozen
class Section:
    """The upload form of one kind of file, and one page of its list."""

    kind: str
    form: Form
    uploads: Page[Any]


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The page."""
    return page(request)


def upload(request: HttpRequest, kind: str) -> HttpResponse:
    """Save a file. The answer comes only after the file is on the grid."""
    form_class = _form(kind)
    if request.method != "POST":
        return page(request)
    form = form_class(request.POST, request.FILES, auto_id=f"{kind}-%s")
    if not form.is_valid():
        return page(request, {kind: form}, status=400)
    messages.success(request, f"“{form.save()}” is on the grid.")
    return redirect("index")


@require_safe
def download(request: HttpRequest, kind: str, number: int) -> HttpResponse:
    """
    Redirect to the public URL of a file.

    A URL costs a request to the grid. The list links here, so that only an opened file costs one.
    """
    return redirect(_chosen(kind, number).file.url)


@require_POST
def delete(request: HttpRequest, kind: str, number: int) -> HttpResponse:
    """Delete a file."""
    chosen = _chosen(kind, number)
    name = str(chosen)
    chosen.delete()
    messages.success(request, f"“{name}” is deleted.")
    return redirect("index")


def page(
    request: HttpRequest,
    forms: dict[str, Form] | None = None,
    *,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    """The page, with filled-in `forms` by kind, and with a sentence about a problem."""
    sections = [_section(request, kind, (forms or {}).get(kind)) for kind in KINDS]
    context = {"sections": sections, "problem": problem}
    return render(request, "tahoe_demo/page.html", context, status=status)


def _section(request: HttpRequest, kind: str, form: Form | None) -> Section:
    uploads = Paginator(_model(kind)._default_manager.all(), ON_A_PAGE)
    empty = _form(kind)(auto_id=f"{kind}-%s")
    return Section(kind, form or empty, uploads.get_page(request.GET.get(kind)))


def _chosen(kind: str, number: int) -> Upload:
    return get_object_or_404(_model(kind), pk=number)


def _form(kind: str) -> type[Form]:
    return modelform_factory(_model(kind), fields=["file"])


def _model(kind: str) -> type[Upload]:
    try:
        return KINDS[kind]
    except KeyError:
        raise Http404(f"This site has no {kind}: only documents and pictures.") from None
