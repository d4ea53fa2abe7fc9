"""
Django's storages on a Tahoe-LAFS grid.

Users name the modules of this folder in their settings: `storage`, `capstorage`, `staticfiles`,
`uploadhandler`, `urls`, `health`, `logs`, `redaction`. Django itself looks for `apps`, `models`,
`admin` and the folders named as Django has them. Settings and OPTIONS, with their defaults, are in
`conf`. The other folders, from the top: `demo`, `management` (commands), `gridpage` (the admin's
page), `checks`, `care` (whole storages), `proxies`, `serving` (files over HTTP), `contract`
(Django's storage API), `grid` (names and files), `reactor` (the thread that talks to the grid). A
folder imports from those below it only. Begin to read with `storage.py`.
"""

import sys

__version__ = "1.0.0.dev0"

if "eventlet" in sys.modules:
    from tahoestorage.reactor.threads import require_threads

    # Before other imports, some of which fail with eventlet without a reason.
    require_threads()
