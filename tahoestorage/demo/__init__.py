"""
A grid and a site on it with one command: `python -m tahoestorage.demo`.

Nothing imports it. Begin with `server.py`. `settings.py` and `models.py` are the site's.
"""
