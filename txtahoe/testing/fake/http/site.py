"""The HTTP server of the fake gateway."""

from __future__ import annotations

from typing import Any

from twisted.web.resource import IResource
from twisted.web.server import Site


def quiet_site(resource: IResource, reactor: Any, timeout: int | None = 60) -> Site:
    """A site that logs no request: the URLs hold caps. `timeout`: seconds of an idle connection."""
    site = Site(resource, timeout=timeout, reactor=reactor)
    site.noisy = False
    site.log = lambda request: None  # type: ignore[method-assign]
    return site
