"""The tests of both packages, run by trial. A class says what it needs; see `tests.needs`."""

import os

import django
import hypothesis

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

# On a busy machine an example may take its time.
hypothesis.settings.register_profile("tests", deadline=None, max_examples=100)
hypothesis.settings.load_profile("tests")
