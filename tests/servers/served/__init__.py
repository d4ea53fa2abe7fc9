"""The demo's site as servers load it, from a copy of this folder; see `tests.servers.servers`."""
