"""
The contents of immutable files, kept in a folder of this host; `api` puts them there.

Files and locks alone: no reactor and no network. Any thread can call it, and blocks as the disk
does. Begin with `cache.py`; `ledger.py` keeps the folder within its bound.

No library does this. diskcache, the nearest, has had no release since 2023; it unpickles what it
finds in its folder (CVE-2025-69872), and its SQLite would write at each read. Here a read takes no
lock, and ranges of a file can be kept.
"""

from txtahoe.contentcache.cache import BLOCK as BLOCK
from txtahoe.contentcache.cache import ContentCache as ContentCache
from txtahoe.contentcache.cache import Writer as Writer
from txtahoe.contentcache.ledger import Usage as Usage
