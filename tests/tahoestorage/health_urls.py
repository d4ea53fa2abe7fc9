"""URLs of a site that tells how its storage is."""

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
