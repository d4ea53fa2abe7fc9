"""The tests of both packages, run by trial. A class says what it needs; see `tests.needs`."""

import os
import signal

import django
import hypothesis

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

# On a busy machine an example may take its time.
hypothesis.settings.register_profile("tests", deadline=None, max_examples=100)
hypothesis.settings.load_profile("tests")

# A shell has its background jobs ignore Ctrl-C, and they would hand that on to what tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
