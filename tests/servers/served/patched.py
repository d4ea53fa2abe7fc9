"""A configuration file of gunicorn: the one place that is early enough."""

import gevent.monkey

gevent.monkey.patch_all()
