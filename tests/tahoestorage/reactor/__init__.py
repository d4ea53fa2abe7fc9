"""Tests of `tahoestorage.reactor`."""
