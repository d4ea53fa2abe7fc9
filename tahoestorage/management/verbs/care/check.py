"""
Check the shares of all files, or compare files and database.

Ends with status 0 if everything is healthy, with 3 if shares are missing, and with 4 if something
cannot be read.

Examples, for cron every week, and for files that no row names:
  manage.py tahoe check --repair -v 0
  manage.py tahoe check --database
"""

from __future__ import annotations

from tahoestorage.management import database_check
from tahoestorage.management.arguments import argument, flag
from tahoestorage.management.reports import health_lines, health_told, raise_unhealthy
from tahoestorage.management.verb import ALL_BELOW, Verb
from txtahoe.maintenance import Health, Progress, check, keep_check
from txtahoe.tree.tree import Tree


class Check(Verb):
    help = __doc__
    arguments = (
        argument("name", nargs="?", help=f"a file, or {ALL_BELOW}"),
        flag("--verify", help="read all shares, and compare their hashes"),
        flag("--repair", help="make missing shares again"),
        *database_check.ARGUMENTS,
    )

    def run(self) -> None:
        if database_check.is_asked_for(self.options):
            database_check.run(self)
            return
        self._unkept: OSError | None = None
        health = self.work("checking", "objects", self._check)
        told = health_told(health, self.whole)
        if self.options["json"] or self.options["verbosity"] or not health.is_healthy:
            self.tell(told, health_lines(health, self))
        if self._unkept:
            self.warn(f"The admin's page will not show this check: {self._unkept}")
        raise_unhealthy(health, self.whole)

    async def _check(self, tree: Tree, progress: Progress) -> Health:
        path, verify, repair = self.path, self.options["verify"], self.options["repair"]
        health = await check(tree, path, verify=verify, repair=repair, progress=progress)
        if not path and tree.root.is_writable:
            try:
                await keep_check(tree, health)
            except OSError as error:  # the user needs the result nevertheless
                self._unkept = error
        return health
