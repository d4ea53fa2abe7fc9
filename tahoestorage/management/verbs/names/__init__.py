"""Verbs about files by their names: list, copy, remove, and move between storages."""
