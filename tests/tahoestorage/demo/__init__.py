"""Tests of `tahoestorage.demo`."""
