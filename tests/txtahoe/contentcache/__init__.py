"""Tests of `txtahoe.contentcache`, and a long one for the command line: `stress.py`."""
