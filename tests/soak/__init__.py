"""
A long run: a site as people have it, under load, while everything that it needs dies or fills up.

`python -m tests.soak --help`. Begin with `faults.py`, whose table says what happens to the site,
and `load.py`, which says what it is asked meanwhile. `truth.py` is the judge: it knows what the
site has acknowledged. `place.py` has the grid and the two hosts, whose site is in `served`.
`growth.py` judges what processes take. Faults come by the count of operations, so a slow machine
has fewer of both.
"""
