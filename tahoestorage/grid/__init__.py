"""
Names and files on a grid, for callers that wait: a tree, opened files, and a shared cache.

`contract` and everything above it import it. Begin with `tree.py`, then `file.py` and `reader.py`.
`paths.py` normalises the names that callers give.
"""
