"""Settings of a site that takes uploads, for a server process; see `upload_site`."""

import os

from tests.settings import *  # noqa: F403

ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "tests.tahoestorage.upload_site"
TAHOE_STORAGE_BASE_URL = os.environ["GATEWAY"]
TAHOE_STORAGE_BASE_CAP = os.environ["CAP"]
FILE_UPLOAD_TEMP_DIR = os.environ["TEMPORARY"]
FILE_UPLOAD_HANDLERS = [
    "tahoestorage.uploadhandler.TahoeUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
