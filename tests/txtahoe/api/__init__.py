"""Tests of `txtahoe.api`."""
