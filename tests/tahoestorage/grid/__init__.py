"""Tests of `tahoestorage.grid`."""
