"""Tests of `txtahoe.http`."""
