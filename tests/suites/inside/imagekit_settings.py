"""The settings of django-imagekit's own tests, with the picture that its sdist has not."""

import os

from PIL import Image

from tests.settings import *  # noqa: F403
from tests.settings import MEDIA_ROOT

os.makedirs(MEDIA_ROOT, exist_ok=True)
Image.linear_gradient("L").convert("RGB").save(os.path.join(MEDIA_ROOT, "reference.png"))
