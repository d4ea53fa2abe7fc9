"""URLs of a site with health checks of its storage."""

from django.urls import path
from health_check.views import HealthCheckView

checks = [
    ("tahoestorage.healthcheck.TahoeHealthCheck", {"alias": "default"}),
    ("tahoestorage.healthcheck.TahoeHealthCheck", {"alias": "missing"}),
]
urlpatterns = [
    path("health/", HealthCheckView.as_view(checks=checks[:1])),
    path("health/of-nothing/", HealthCheckView.as_view(checks=checks[1:])),
]
