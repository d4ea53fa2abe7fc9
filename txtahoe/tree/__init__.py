"""
Names below a root directory: looked up, remembered, and changed so that no change is lost.

`txtahoe.maintenance`, `txtahoe.capnames` and `tahoestorage` import it. Begin with `tree.py`, which
has the methods for callers. `lookup.py` reads. `commits.py` writes: it gathers the changes of a
directory into one commit. `spread/` is about large directories.
"""
