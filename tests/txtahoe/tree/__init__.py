"""Tests of `txtahoe.tree`."""
