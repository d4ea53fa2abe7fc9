"""
A long run: a site as people have it, under load, while everything that it needs dies or fills up.

`python -m tests.soak --help`. Begin with the table of `faults.py`, and with `load.py`, whose
clients use the site meanwhile. `truth.py` is the judge: it knows the files that the site has
acknowledged. `place.py` has the grid and the two hosts, whose site is in `served`. `growth.py`
judges whether processes grow. Faults come by the count of operations, so a slow machine has fewer
of both.
"""
