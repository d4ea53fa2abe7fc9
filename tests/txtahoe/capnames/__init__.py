"""Tests of `txtahoe.capnames`."""
