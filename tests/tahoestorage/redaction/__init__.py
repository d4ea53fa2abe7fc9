"""Tests of `tahoestorage.redaction`."""
