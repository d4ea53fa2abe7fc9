"""`manage.py tahoe VERB`."""

from __future__ import annotations

from argparse import SUPPRESS
from typing import Any

from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tahoestorage.management.quoting import guard
from tahoestorage.management.verbs import VERBS


def _add_common_arguments(parser: CommandParser) -> None:
    """Those of every command, which people write behind the verb too."""
    parser.add_argument(
        *("-v", "--verbosity"),
        type=int,
        choices=range(4),
        default=SUPPRESS,
        help="0: only what is wrong; default: 1",
    )
    for name in ("--settings", "--pythonpath"):
        parser.add_argument(name, default=SUPPRESS, help=SUPPRESS)
    for name in ("--traceback", "--no-color", "--force-color"):
        parser.add_argument(name, action="store_true", default=SUPPRESS, help=SUPPRESS)


class Command(BaseCommand):
    help = "What can be done with files on a Tahoe-LAFS grid, besides storing them."
    # A verb may be what mends the settings; each says itself what it misses.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(title="verbs", dest="verb", metavar="VERB")
        for name, verb in VERBS.items():
            below = verbs.add_parser(name, help=verb.help, description=verb.help)
            verb.add_arguments(below)
            _add_common_arguments(below)

    def handle(self, *args: Any, **options: Any) -> None:
        guard(self)
        verb = options["verb"]
        if verb is None:
            parser = self.create_parser("manage.py", "tahoe")
            self.stdout.write(parser.format_help())
        else:
            self._do(verb, options)

    def _do(self, verb: str, options: dict[str, Any]) -> None:
        try:
            VERBS[verb].handle(self, options)
        except (OSError, ImproperlyConfigured, SuspiciousFileOperation) as error:
            raise CommandError(str(error)) from (error if options["traceback"] else None)
        except KeyboardInterrupt:
            raise CommandError("interrupted", returncode=130) from None
