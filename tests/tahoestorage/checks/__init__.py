"""Tests of `tahoestorage.checks`."""
