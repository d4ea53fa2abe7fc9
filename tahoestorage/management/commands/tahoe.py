"""`manage.py tahoe VERB`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from tahoestorage.management.verbs import VERBS


class Command(BaseCommand):
    help = "What can be done with files on a Tahoe-LAFS grid, besides storing them."
    # A verb may be what mends the settings; each says itself what it misses.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(title="verbs", dest="verb", metavar="VERB")
        for name, verb in VERBS.items():
            verb.add_arguments(verbs.add_parser(name, help=verb.help, description=verb.help))

    def handle(self, *args: Any, **options: Any) -> None:
        verb = options["verb"]
        if verb is None:
            parser = self.create_parser("manage.py", "tahoe")
            self.stdout.write(parser.format_help())
        else:
            VERBS[verb].handle(self, options)
