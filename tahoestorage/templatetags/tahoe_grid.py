"""What the templates of the admin's pages need."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django import template
from django.conf import settings
from django.template import Context
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.timesince import timesince
from django.utils.translation import get_language, override

from tahoestorage.gridpage import pictures
from txtahoe.maintenance import Snapshot
from txtahoe.maintenance.records import RECORDS, is_past
from txtahoe.tree.paths import Path, split

register = template.Library()
register.filter("words", pictures.words_for)


@register.filter
def address(path: Path) -> str | None:
    """A path with slashes, for a URL; None where a name in it has one of its own, or is `..`."""
    text = "/".join(path)
    try:
        return text if split(text, may_be_reserved=True) == path else None
    except ValueError:
        return None


@register.filter
def moment(timestamp: float | None) -> datetime | None:
    """The time of seconds since 1970 UTC, as Django's own filters take it."""
    if not timestamp:
        return None
    try:
        return datetime.fromtimestamp(timestamp, UTC if settings.USE_TZ else None)
    except (TypeError, ValueError, OverflowError, OSError):
        return None  # gateways and records may say anything


@register.filter
def ago(timestamp: float | None) -> str:
    """How long ago that was, in words."""
    time = moment(timestamp)
    if timestamp is None or time is None:
        return "never"
    if timestamp > 0 and not is_past(timestamp):
        return "yet to come"
    words = timesince(time, depth=1)
    return "just now" if words.startswith("0") else f"{words} ago"


@register.filter
def thousandths(number: float) -> int:
    """Seconds as milliseconds, and the like."""
    return round(number * 1000)


@register.filter
def percent(share: float) -> int:
    """A number from 0 to 1 as one from 0 to 100."""
    return round(share * 100)


@register.filter
def share_counts(counts: Mapping[str, Any]) -> str:
    """The numbers of a check in words."""
    names = ("good", "expected", "needed")
    good, expected, needed = (counts.get(f"count-shares-{name}", "?") for name in names)
    damaged = counts.get("count-corrupt-shares")
    told = f"{good} of {expected} shares are good, and {needed} are enough to read it"
    return f"{told}; {damaged} damaged" if damaged else told


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
    """The address of the page of the tree that this page is about."""
    return _url(context, "changelist", {})


@register.simple_tag(takes_context=True)
def node_url(context: Context, address: str, page: int = 1) -> str:
    """The address of the page of a file or directory in that tree."""
    return _url(context, "node", {"path": address} | ({"page": page} if page > 1 else {}))


def _url(context: Context, view: str, query: dict[str, Any]) -> str:
    if len(context["roots"]) > 1:
        query["storage"] = context["root"].key
    request = context["request"]
    # The page is in English; that is not to change the language of the site.
    with override(getattr(request, "LANGUAGE_CODE", None) or get_language()):
        url = reverse(f"admin:tahoestorage_grid_{view}", current_app=request.current_app)
    return f"{url}?{urlencode(query)}" if query else url
