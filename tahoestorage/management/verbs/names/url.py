"""
Print the URLs of files.

Anyone who knows a URL with a cap can read its file.

Example:
  manage.py tahoe url documents/2026/report.pdf
"""

from __future__ import annotations

from django.core.management.base import CommandError

from tahoestorage.management.arguments import argument
from tahoestorage.management.printing import bar
from tahoestorage.management.verb import Verb


class Url(Verb):
    help = __doc__
    arguments = (argument("names", nargs="+", metavar="name", help="a file"),)

    def run(self) -> None:
        with bar("reading"):
            urls = self._urls(self.options["names"])
        self.tell(urls, urls.values())

    def _urls(self, names: list[str]) -> dict[str, str]:
        if missing := set(names) - self.storage.prefetch(names):
            lists = "`manage.py tahoe ls` lists the names that exist."
            told = (f"There is no file {name!r}; {lists}" for name in sorted(missing))
            raise CommandError("\n".join(told))
        for name in names:
            self.storage.size(name)  # raises for a directory
        try:
            return {name: self.storage.url(name) for name in names}
        except ValueError as error:
            raise CommandError(
                f"{error} Set TAHOE_PUBLIC_BASE_URL, or serve the files with tahoestorage.urls."
            ) from None
