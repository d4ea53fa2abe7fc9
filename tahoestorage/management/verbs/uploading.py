"""Bring the files in the spool of this host to the grid."""

from __future__ import annotations

from time import sleep
from typing import Any

from attrs import asdict
from django.core.management.base import CommandError

from tahoestorage.grid.spooled import SpooledTree
from tahoestorage.management.arguments import flag
from tahoestorage.management.printing import Line, bar, counted, size, time
from tahoestorage.management.verb import NOT_HEALTHY, Verb
from tahoestorage.reactor.loop import current_loop
from tahoestorage.reactor.waiting import done
from tahoestorage.storage import TahoeStorage
from txtahoe.caps import redact
from txtahoe.spool import Spool

_PAUSE = 1.0  # seconds


def spool_state(storage: TahoeStorage) -> tuple[dict[str, Any] | None, list[Line]]:
    """The state of a storage's spool for JSON, if it has one that works; and lines about it."""
    spool = storage.connection.spool
    if spool is None:
        return None, []
    try:
        found = spool.summary()
    except OSError as error:
        return None, [Line(f"The spool {spool.above} cannot be used: {error}", "ERROR")]
    lines = [Line(f"The spool {spool.above} is empty: every file is on the grid.")]
    if found.files:
        files = counted(found.files, "file")
        text = f"{files} of {size(found.bytes)}; the oldest is of {time(found.oldest)}"
        lines = [Line(f"The spool {spool.above} has {text}.")]
    if found.problem:
        lines.append(Line(f"The last problem: {found.problem}", "WARNING"))
    refused = [f"{name!r} cannot be saved: {problem}" for name, problem in found.aside.items()]
    lines += [Line(redact(text), "ERROR") for text in refused]
    lines += [Line(text, "WARNING") for text in found.notes]
    return asdict(found), lines


class Upload(Verb):
    help = """
    Bring what is in the spool of this host to the grid.

    Files that were set aside are tried again, once. Ends with status 3 if files are left.

    Example:
      manage.py tahoe upload --wait
    """
    arguments = (
        flag("--wait", help="try again until nothing is left but what cannot be saved"),
        flag("--watch", help="go on until this is interrupted, as a service"),
        flag("--forget", help="forget the messages about files that got another name"),
    )

    def run(self) -> None:
        spool = self.storage.connection.spool
        if spool is None:
            raise CommandError(
                "The storage has no spool, or only reads: set TAHOE_STORAGE_SPOOL to a folder."
            )
        spool.again()
        if self.options["forget"]:
            spool.forget_notes()
        tree = SpooledTree(self.storage.connection, lambda: False)
        with bar("uploading"):
            while not self._is_over(spool, tree):
                sleep(_PAUSE)
        told, lines = spool_state(self.storage)
        self.tell_done(told or {}, lines)
        if spool.summary().files:
            text = "Files are left in the spool; the site goes on to upload them."
            raise CommandError(text, returncode=NOT_HEALTHY)

    def _is_over(self, spool: Spool, tree: SpooledTree) -> bool:
        loop = current_loop()
        done(tree.run(lambda *_: tree.uploader(loop).upload()))
        is_left = spool.has_work()  # not what is set aside, nor what is damaged
        return not (self.options["watch"] or (self.options["wait"] and is_left))
