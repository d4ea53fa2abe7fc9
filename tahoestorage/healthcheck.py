"""
A check for django-health-check; it needs `pip install django-health-check`.

    from health_check.views import HealthCheckView

    checks = ["tahoestorage.healthcheck.TahoeHealthCheck"]
    urlpatterns = [path("health/", HealthCheckView.as_view(checks=checks))]
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from django.core.exceptions import ImproperlyConfigured
from health_check.base import HealthCheck  # type: ignore[import-untyped]
from health_check.exceptions import ServiceUnavailable  # type: ignore[import-untyped]

from tahoestorage.health import ahealth


@dataclass
class TahoeHealthCheck(HealthCheck):  # type: ignore[misc]
    """
    Whether files can be read from the TahoeStorage of an alias, and saved to it.

    A problem that keeps no file from that, such as one storage server of several that is away, is
    no failure. See `tahoestorage.health`.
    """

    alias: str = "default"
    timeout: timedelta = field(default=timedelta(seconds=5), repr=False)

    async def run(self) -> None:
        """Raises: ServiceUnavailable, with the problems."""
        try:
            found = await ahealth(self.alias, timeout=self.timeout.total_seconds())
        except ImproperlyConfigured as error:
            raise ServiceUnavailable(str(error)) from None
        if not found.is_ok:
            raise ServiceUnavailable("; ".join(map(str, found.problems)))
