"""The site of a long run. Servers load it from a copy of this folder; see `tests.soak.place`."""
