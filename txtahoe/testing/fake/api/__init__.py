"""
The web API of the gateway in memory: its answer to each operation.

`gateway.py` imports it. Begin with `surface.py`, the table of all operations.
"""
