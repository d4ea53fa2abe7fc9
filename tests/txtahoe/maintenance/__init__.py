"""Tests of `txtahoe.maintenance`."""
