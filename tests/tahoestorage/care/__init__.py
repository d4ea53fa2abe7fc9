"""Tests of `tahoestorage.care`."""
