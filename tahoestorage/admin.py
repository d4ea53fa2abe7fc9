"""The page "Tahoe grid" of Django's admin, and one for each file and directory."""

from __future__ import annotations

from typing import Any, cast, get_args

from django.contrib import admin
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_http_methods, require_safe

from tahoestorage.gridpage import overview, pictures, placement
from tahoestorage.gridpage.roots import Root, all_roots
from tahoestorage.models import Grid
from txtahoe.errors import NoSuchChild, NotADirectory, TahoeError
from txtahoe.tree.paths import Path, split


@admin.register(Grid)
class GridAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no generic at run time
    """Pages in the place of lists and forms, of which there is nothing to show."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_check_permission(self, request: HttpRequest) -> bool:
        """Whether who asks may have files verified and repaired, which costs the grid time."""
        return request.user.has_perm("tahoestorage.check_grid")

    def get_urls(self) -> list[URLPattern]:
        protect = self.admin_site.admin_view
        return [
            path("", protect(self.grid_view), name="tahoestorage_grid_changelist"),
            path("node/", protect(self.node_view), name="tahoestorage_grid_node"),
        ]

    @method_decorator(require_safe)
    def grid_view(self, request: HttpRequest) -> HttpResponse:
        """`?storage=`: of several trees the one on which a storage is, by its alias."""
        root, context = self._begin(request)
        if root and root.whole:
            seen = overview.look_at(root.whole)
            context |= {"overview": seen, "map": pictures.map_of(seen)}
            if seen.checked.value is not None:
                context["bar"] = pictures.bar_of(seen.checked.value)
        return TemplateResponse(request, "admin/tahoestorage/grid.html", context)

    @method_decorator(require_http_methods(["GET", "HEAD", "POST"]))
    def node_view(self, request: HttpRequest) -> HttpResponse:
        """`?path=`: of what is looked at, below the root. A POST has an `action` done with it."""
        root, context = self._begin(request)
        if root is None or root.whole is None:
            raise Http404("There is no such storage.")
        where = _path(request)
        action = self._action(request)
        context |= {
            "path": where,
            "action": action,
            "title": where[-1] if where else "Root directory",
        }
        try:
            page = _page(request)
            context["sight"] = placement.look_at(root.whole, where, action, page)
        except (NoSuchChild, NotADirectory) as error:
            raise Http404(str(error)) from None
        except TahoeError as error:
            context["problem"] = str(error)
        return TemplateResponse(request, "admin/tahoestorage/node.html", context)

    def _begin(self, request: HttpRequest) -> tuple[Root | None, dict[str, Any]]:
        """Which tree it is about, and what all pages show. Raises: PermissionDenied; Http404."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        roots = all_roots()
        key = request.GET.get("storage")
        root = next((root for root in roots if key in (None, *root.names)), None)
        if key is not None and root is None:
            raise Http404("There is no such storage.")
        # The name of the site, by which `{% url %}` finds these pages on others than the default.
        request.current_app = self.admin_site.name
        return root, {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": self.opts.verbose_name,
            "roots": roots,
            "root": root,
            "may_check": self.has_check_permission(request),
        }

    def _action(self, request: HttpRequest) -> placement.Action | None:
        if request.method != "POST":
            return None
        if not self.has_check_permission(request):
            raise PermissionDenied
        action = request.POST.get("action")
        if action not in get_args(placement.Action):
            raise SuspiciousOperation("no such action")
        return cast(placement.Action, action)


def _path(request: HttpRequest) -> Path:
    try:
        return split(request.GET.get("path", ""), may_be_reserved=True)
    except ValueError as error:
        raise Http404(str(error)) from None


def _page(request: HttpRequest) -> int:
    number = request.GET.get("page", "1")
    return max(1, int(number)) if number.isdecimal() and len(number) < 10 else 1
