"""Settings of a suite, and of the storage."""

import os
from importlib import import_module
from tempfile import mkdtemp

globals().update(vars(import_module(os.environ["SUITE_SETTINGS"])))

# Tests remove what is there, which must not be their own folder.
MEDIA_ROOT = globals().get("MEDIA_ROOT") or mkdtemp()

if os.environ["SUITE_STORAGE"] != "local":
    from txtahoe.testing.fake import start_fake_gateway

    TAHOE_STORAGE_BASE_URL, TAHOE_STORAGE_BASE_CAP = start_fake_gateway()
    if "SUITE_SPOOL" in os.environ:
        TAHOE_STORAGE_SPOOL, TAHOE_STORAGE_SPOOL_MIN_FREE = mkdtemp(), 0
    INSTALLED_APPS = [*globals()["INSTALLED_APPS"], "tahoestorage"]
    SUITE_URLCONF = globals().get("ROOT_URLCONF")
    ROOT_URLCONF = "tahoe_suites.urls"
