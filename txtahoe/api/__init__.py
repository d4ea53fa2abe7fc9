"""
The web API of a gateway, one method for each operation, and without memory.

`tree` and all above it import it. Begin with `client.py`, which has all methods.
"""
