"""
The verbs of `manage.py tahoe`, a module each, in folders that the overview shows as groups.

Only the command imports it. To add a verb, write a subclass of `Verb`, and name it here.
"""

from __future__ import annotations

from tahoestorage.management.verb import Verb
from tahoestorage.management.verbs.care.anchor import Anchor
from tahoestorage.management.verbs.care.check import Check
from tahoestorage.management.verbs.care.diff import Diff
from tahoestorage.management.verbs.care.du import Du
from tahoestorage.management.verbs.care.renew import Renew
from tahoestorage.management.verbs.care.restore import Restore
from tahoestorage.management.verbs.care.snapshot import TakeSnapshot
from tahoestorage.management.verbs.care.spread import SpreadOut
from tahoestorage.management.verbs.names.get import Get
from tahoestorage.management.verbs.names.ls import Ls
from tahoestorage.management.verbs.names.migrate import Migrate
from tahoestorage.management.verbs.names.put import Put
from tahoestorage.management.verbs.names.rm import Rm
from tahoestorage.management.verbs.names.url import Url
from tahoestorage.management.verbs.setup.init import Init
from tahoestorage.management.verbs.setup.proxy import Proxy
from tahoestorage.management.verbs.setup.status import Status
from tahoestorage.management.verbs.setup.writer import Writer

GROUPS: dict[str, dict[str, type[Verb]]] = {
    "set up": {"init": Init, "status": Status, "writer": Writer, "proxy": Proxy},
    "files and directories": {
        "ls": Ls,
        "get": Get,
        "put": Put,
        "rm": Rm,
        "url": Url,
        "migrate": Migrate,
    },
    "take care of the whole storage": {
        "check": Check,
        "renew": Renew,
        "snapshot": TakeSnapshot,
        "restore": Restore,
        "diff": Diff,
        "du": Du,
        "anchor": Anchor,
        "spread": SpreadOut,
    },
}
VERBS = {name: verb for verbs in GROUPS.values() for name, verb in verbs.items()}
