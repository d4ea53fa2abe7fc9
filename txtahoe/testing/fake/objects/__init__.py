"""
What the gateway in memory keeps: files, directories and their links.

`fake.api` imports it. Begin with `store.py`.
"""
