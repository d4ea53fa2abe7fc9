"""Settings of a site that serves the files of a tree, for server processes."""

import os

from tests.settings import *  # noqa: F403

ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "tests.servers.serving_site"
TAHOE_STORAGE_BASE_URL = os.environ["GATEWAY"]
TAHOE_STORAGE_BASE_CAP = os.environ["CAP"]
