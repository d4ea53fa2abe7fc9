"""
A grid, a site on it, one command: `python -m tahoestorage.demo`.

Nothing imports it. Begin with `__main__.py`.
"""
