"""
What the gateway in memory answers to each operation of the web API.

`gateway.py` imports it. Begin with `surface.py`, the table of all operations.
"""
