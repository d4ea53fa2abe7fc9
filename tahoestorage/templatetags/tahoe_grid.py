"""Filters and tags of the admin's pages."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from django import template
from django.conf import settings
from django.template import Context
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.timesince import timesince
from django.utils.translation import gettext

from tahoestorage.gridpage import pictures, placement
from txtahoe.maintenance import Snapshot
from txtahoe.maintenance.records import RECORDS, is_past
from txtahoe.tree.paths import Path, split

register = template.Library()
register.filter("words", pictures.words_for)
register.filter("share_counts", placement.share_counts)


@register.filter
def address(path: Path) -> str | None:
    """A path for a URL; None if a name in it contains a slash or is `..`."""
    text = "/".join(path)
    try:
        return text if split(text, may_be_reserved=True) == path else None
    except ValueError:
        return None


@register.filter
def moment(timestamp: float | None) -> datetime | None:
    """Seconds since 1970 UTC as a datetime for Django's own filters; None if it is not a time."""
    with suppress(TypeError, ValueError, OverflowError, OSError):  # anybody can write a record
        if timestamp:
            return datetime.fromtimestamp(timestamp, UTC if settings.USE_TZ else None)
    return None


@register.filter
def ago(timestamp: float | None) -> str:
    """The time since then, in words."""
    time = moment(timestamp)
    if timestamp is None or time is None:
        return gettext("never")
    if timestamp > 0 and not is_past(timestamp):
        return gettext("in the future")
    if (words := timesince(time, depth=1)).startswith("0"):
        return gettext("just now")
    return gettext("%(time)s ago") % {"time": words}


@register.filter
def kept_at(snapshot: Snapshot) -> Path:
    """The path of a snapshot."""
    return (RECORDS, snapshot.name)


@register.filter
def above(path: Path) -> list[Path]:
    """The paths of the directories above one."""
    return [path[:length] for length in range(len(path))]


@register.simple_tag(takes_context=True)
def grid_url(context: Context) -> str:
    """The URL of the grid's page of this tree."""
    return _url(context, "changelist", {})


@register.simple_tag(takes_context=True)
def node_url(context: Context, address: str, page: int = 1) -> str:
    """The URL of the page of a file or directory in this tree."""
    return _url(context, "node", {"path": address} | ({"page": page} if page > 1 else {}))


def _url(context: Context, view: str, query: dict[str, Any]) -> str:
    if len(context["roots"]) > 1:
        query["storage"] = context["root"].names[0]
    url = reverse(f"admin:tahoestorage_grid_{view}", current_app=context["request"].current_app)
    return f"{url}?{urlencode(query)}" if query else url
