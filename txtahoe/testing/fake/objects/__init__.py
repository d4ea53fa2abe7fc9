"""
The objects on the grid in memory: files, directories and their links.

`fake.api` imports it. Begin with `store.py`.
"""
