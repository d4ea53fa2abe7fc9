"""
The verbs of `manage.py tahoe`, a module each, in folders that the overview shows as groups.

Only the command imports it. To add a verb, write a subclass of `Verb`, and name it here. The help
of a verb is the docstring of its module.
"""

from __future__ import annotations

from tahoestorage.management.verb import Verb
from tahoestorage.management.verbs.care import (
    anchor,
    check,
    diff,
    du,
    renew,
    restore,
    snapshot,
    spread,
)
from tahoestorage.management.verbs.names import get, ls, migrate, put, rm, url
from tahoestorage.management.verbs.setup import init, proxy, status, writer

GROUPS: dict[str, dict[str, type[Verb]]] = {
    "set up": {
        "init": init.Init,
        "status": status.Status,
        "writer": writer.Writer,
        "proxy": proxy.Proxy,
    },
    "files and directories": {
        "ls": ls.Ls,
        "get": get.Get,
        "put": put.Put,
        "rm": rm.Rm,
        "url": url.Url,
        "migrate": migrate.Migrate,
    },
    "take care of all that is under the cap": {
        "check": check.Check,
        "renew": renew.Renew,
        "snapshot": snapshot.TakeSnapshot,
        "restore": restore.Restore,
        "diff": diff.Diff,
        "du": du.Du,
        "anchor": anchor.Anchor,
        "spread": spread.SpreadOut,
    },
}
VERBS = {name: verb for verbs in GROUPS.values() for name, verb in verbs.items()}
