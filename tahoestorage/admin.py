"""The page "Tahoe grid" of Django's admin, and a page for each file and directory."""

from __future__ import annotations

from typing import Any, cast, get_args

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_safe

from tahoestorage.gridpage import overview, pictures, placement
from tahoestorage.gridpage.roots import Root, all_roots
from tahoestorage.models import Grid
from txtahoe.errors import NoSuchChild, NotADirectory, TahoeError
from txtahoe.tree.paths import Path, split


@admin.register(Grid)
class GridAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no generic at run time
    """Pages of their own instead of the lists and forms of a model."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    has_change_permission = has_delete_permission = has_add_permission

    def has_check_permission(self, request: HttpRequest) -> bool:
        """Whether the user is allowed to verify and repair files, which costs the grid time."""
        return request.user.has_perm("tahoestorage.check_grid")

    def has_open_permission(self, request: HttpRequest) -> bool:
        """Whether the user is allowed to open files: a URL can give the right to read a file."""
        return request.user.has_perm("tahoestorage.open_grid")

    def get_urls(self) -> list[URLPattern]:
        protect = self.admin_site.admin_view
        return [
            path("", protect(self.grid_view), name="tahoestorage_grid_changelist"),
            path("node/", protect(self.node_view), name="tahoestorage_grid_node"),
        ]

    @method_decorator(require_safe)
    def grid_view(self, request: HttpRequest) -> HttpResponse:
        """Show the tree of a storage, by its alias at `?storage=`; by default the first tree."""
        root, context = self._begin(request)
        if root and root.whole:
            seen = overview.look_at(root.whole)
            context |= {"overview": seen, "map": pictures.map_of(seen)}
            if seen.checked.value is not None:
                context["bar"] = pictures.bar_of(seen.checked.value)
        return TemplateResponse(request, "admin/tahoestorage/grid.html", context)

    @method_decorator(require_http_methods(["GET", "HEAD", "POST"]))
    def node_view(self, request: HttpRequest) -> HttpResponse:
        """
        Show the file or directory at `?path=`, below the root. `&open=1` redirects to the file.

        A POST checks, verifies or repairs it. A repair changes the grid, so it redirects.
        """
        root, context = self._begin(request)
        if root is None or root.whole is None:
            raise Http404(gettext("There is no such storage."))
        where = _path(request)
        action = self._action(request)
        context |= {
            "path": where,
            "action": action,
            "title": where[-1] if where else gettext("Root directory"),
        }
        try:
            if "open" in request.GET:
                return self._open(request, root, where)
            page = request.GET.get("page", "1")
            sight = placement.look_at(root.whole, where, action, page)
        except (NoSuchChild, NotADirectory) as error:
            raise Http404(str(error)) from None
        except TahoeError as error:
            context["problem"] = str(error)
        else:
            if action == "repair":
                _tell_repair(request, sight)
                return redirect(request.get_full_path())
            context |= {
                "sight": sight,
                "may_open": self.has_open_permission(request) and not sight.node.is_directory,
            }
        return TemplateResponse(request, "admin/tahoestorage/node.html", context)

    def _open(self, request: HttpRequest, root: Root, path: Path) -> HttpResponse:
        if not self.has_open_permission(request):
            raise PermissionDenied
        url = root.url_of(path)
        if url is None:
            raise Http404(gettext("The storage of this file gives it no URL."))
        return redirect(url)

    def _begin(self, request: HttpRequest) -> tuple[Root | None, dict[str, Any]]:
        if not self.has_view_permission(request):
            raise PermissionDenied
        roots = all_roots()
        key = request.GET.get("storage")
        root = next((root for root in roots if key in (None, *root.names)), None)
        if key is not None and root is None:
            raise Http404(gettext("There is no such storage."))
        # `{% url %}` finds the pages of this admin site by it; a project can have several.
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
            raise SuspiciousOperation(f"'action' must be check, verify or repair, not {action!r}")
        return cast(placement.Action, action)


def _tell_repair(request: HttpRequest, sight: placement.Sight) -> None:
    report = sight.report.value
    if report is None:
        problem = sight.report.problem or gettext("it has no shares")
        text = gettext("The repair did not end: %(problem)s. The gateway may go on with it.")
        messages.error(request, text % {"problem": problem})
    elif report.before:
        if not report.is_repaired:
            text = gettext("The repair failed. Before it: %(before)s. Now: %(now)s.")
        else:
            text = gettext("Repaired. Before the repair: %(before)s. Now: %(now)s.")
        before, now = map(placement.share_counts, (report.before.counts, report.counts))
        level = messages.SUCCESS if report.is_repaired else messages.ERROR
        messages.add_message(request, level, text % {"before": before, "now": now})
    else:
        messages.info(request, gettext("There was nothing to repair."))


def _path(request: HttpRequest) -> Path:
    try:
        return split(request.GET.get("path", ""), may_be_reserved=True)
    except ValueError as error:
        raise Http404(str(error)) from None
