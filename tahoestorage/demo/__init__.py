"""A grid, a site on it, one command: `python -m tahoestorage.demo`."""
