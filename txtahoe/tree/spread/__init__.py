"""
Large directories, whose names are spread over parts.

`lookup.py` and `commits.py` beside it import it. Begin with PROTOCOL.md, then `format.py`.
"""
