"""The printed configurations in the servers that they are for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.needs import APACHE, GRID, LIGHTTPD, NGINX, TIME, needs
from tests.tahoestorage.proxies.case import PublicGatewayTests
from tests.tahoestorage.proxies.servers import Apache, Lighttpd, Nginx


@needs(GRID, TIME, NGINX)
class NginxTests(PublicGatewayTests, SynchronousTestCase):
    server_class = Nginx


@needs(GRID, TIME, APACHE)
class ApacheTests(PublicGatewayTests, SynchronousTestCase):
    server_class = Apache


@needs(GRID, TIME, LIGHTTPD)
class LighttpdTests(PublicGatewayTests, SynchronousTestCase):
    server_class = Lighttpd
    # It can't say more of successes alone.
    cache_control = "max-age=31536000"
    tells_errors_apart = False
    normalises = True
