"""Verbs that an operator needs to set a storage up: its directory, gateways and web server."""
