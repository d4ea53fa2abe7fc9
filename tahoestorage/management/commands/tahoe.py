"""`manage.py tahoe VERB`."""

from __future__ import annotations

from argparse import SUPPRESS, Action, RawDescriptionHelpFormatter
from inspect import cleandoc
from typing import Any

from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    DjangoHelpFormatter,
)

from tahoestorage.management.quoting import guard
from tahoestorage.management.verbs import GROUPS, VERBS


class _Overview(RawDescriptionHelpFormatter):
    """Leaves Django's options and a blank line out, so that the verbs fit on one screen."""

    def add_argument(self, action: Action) -> None:
        pass

    def format_help(self) -> str:
        return super().format_help().replace("\n\n", "\n", 1)


class _VerbHelp(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    """Django's options come last, and the examples keep their lines."""


class _AfterTheVerb(BaseCommand):
    """Django's options, to be given after a verb. A missing one leaves the one before the verb."""

    def add_base_argument(self, parser: CommandParser, *args: str, **kwargs: Any) -> None:
        super().add_base_argument(parser, *args, **{**kwargs, "default": SUPPRESS})


def _overview() -> str:
    lines = []
    for title, verbs in GROUPS.items():
        first = {name: cleandoc(verb.help).splitlines()[0] for name, verb in verbs.items()}
        lines += [f"{title}:", *(f"  {name:<9} {line}" for name, line in first.items())]
    return "\n".join(lines)


class Command(BaseCommand):
    help = _overview()
    # Some verbs mend the settings. Each verb says itself which setting is missing.
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        usage = "%(prog)s VERB [options], or %(prog)s VERB --help"
        kwargs = {"formatter_class": _Overview, "usage": usage, **kwargs}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--skip-checks", action="store_true", help=SUPPRESS)
        verbs = parser.add_subparsers(dest="verb", metavar="VERB", prog=parser.prog)
        after = _AfterTheVerb().create_parser("", "", add_help=False, argument_default=SUPPRESS)
        how: dict[str, Any] = {"parents": [after], "formatter_class": _VerbHelp}
        for name, verb in VERBS.items():
            verb.add_arguments(verbs.add_parser(name, description=cleandoc(verb.help), **how))

    def handle(self, *args: Any, **options: Any) -> None:
        guard(self)
        if options["verb"] is None:
            self.stdout.write(self.create_parser("manage.py", "tahoe").format_help())
            return
        verb = VERBS[options["verb"]](self, options)
        try:
            verb.run()
        except (OSError, ImproperlyConfigured, SuspiciousFileOperation) as error:
            text = verb.cured(str(error), error)
            raise CommandError(text) from (error if options["traceback"] else None)
        except KeyboardInterrupt:
            raise CommandError("interrupted", returncode=130) from None
