"""
The web API of a gateway, one method for each operation, and without memory.

`tree` and all above it import it. Read `client.py` first: its class has all methods.
"""
