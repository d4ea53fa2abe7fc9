"""
A spool: files that are saved on this host's disk, and brought to the grid behind the answer.

`Spool` takes a file: its bytes are encrypted and synced, then its entry in the journal is. From
then on the file is saved: every process of the host sees it, and an `Uploader` of any of them
brings it to the grid. Begin with `spool.py`, which has the states of an entry and the rules that
every process keeps. `entries.py` has the values, `database.py` and `files.py` the disk;
`uploader.py` alone knows the reactor and the grid.
"""

from txtahoe.spool.entries import Entry as Entry
from txtahoe.spool.entries import State as State
from txtahoe.spool.entries import Summary as Summary
from txtahoe.spool.spool import Spool as Spool
from txtahoe.spool.uploader import Uploader as Uploader
