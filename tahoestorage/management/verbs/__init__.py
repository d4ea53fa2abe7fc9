"""
The verbs of `manage.py tahoe`, by what they work on.

Only the command imports it. To add a verb, write a subclass of `Verb`, and name it here.
"""

from __future__ import annotations

from tahoestorage.management.verb import Verb
from tahoestorage.management.verbs.anchor import Anchor
from tahoestorage.management.verbs.contentcache import Cache
from tahoestorage.management.verbs.copying import Get, Put
from tahoestorage.management.verbs.directories import Du, SpreadOut
from tahoestorage.management.verbs.gateways import Status, Writer
from tahoestorage.management.verbs.health import Check, Renew
from tahoestorage.management.verbs.migrate import Migrate
from tahoestorage.management.verbs.names import Ls, Rm, Url
from tahoestorage.management.verbs.setup import Init, Proxy
from tahoestorage.management.verbs.snapshots import Diff, Restore, TakeSnapshot
from tahoestorage.management.verbs.uploading import Upload

GROUPS: dict[str, dict[str, type[Verb]]] = {
    "set up": {
        "init": Init,
        "status": Status,
        "writer": Writer,
        "proxy": Proxy,
        "cache": Cache,
        "upload": Upload,
    },
    "files": {"ls": Ls, "get": Get, "put": Put, "rm": Rm, "url": Url, "migrate": Migrate},
    "take care of all that is under the cap": {
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
