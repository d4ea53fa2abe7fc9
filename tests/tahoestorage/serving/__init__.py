"""Tests of `tahoestorage.serving`."""
