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
from tahoestorage.management.verb import Verb
from tahoestorage.management.verbs import GROUPS, VERBS


class _Overview(RawDescriptionHelpFormatter):
    """Leaves Django's options out, so that the verbs fit on one screen."""

    def add_argument(self, action: Action) -> None:
        pass


class _VerbHelp(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    """Django's options come last, and the examples keep their lines."""


class _AfterTheVerb(BaseCommand):
    """Django's options, to be given after a verb. A missing one leaves the one before the verb."""

    def add_base_argument(self, parser: CommandParser, *args: str, **kwargs: Any) -> None:
        super().add_base_argument(parser, *args, **{**kwargs, "default": SUPPRESS})

    def parser(self) -> CommandParser:
        return self.create_parser("", "", add_help=False, argument_default=SUPPRESS)


class Command(BaseCommand):
    help = "\n".join(
        line
        for title, verbs in GROUPS.items()
        for line in (
            f"{title}:",
            *(f"  {name:<9} {cleandoc(verb.help).splitlines()[0]}" for name, verb in verbs.items()),
        )
    )
    # Some verbs mend the settings. Each verb says itself which setting is missing.
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        usage = "%(prog)s VERB [options], or %(prog)s VERB --help"
        kwargs = {"formatter_class": _Overview, "usage": usage, **kwargs}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--skip-checks", action="store_true", help=SUPPRESS)
        verbs = parser.add_subparsers(dest="verb", metavar="VERB", prog=parser.prog)
        shared = _AfterTheVerb().parser()
        for name, verb in VERBS.items():
            text = cleandoc(verb.help)
            verb.add_all_arguments(
                verbs.add_parser(
                    name, description=text, parents=[shared], formatter_class=_VerbHelp
                )
            )

    def handle(self, *args: Any, **options: Any) -> None:
        guard(self)
        name = options["verb"]
        if name is None:
            self.stdout.write(self.create_parser("manage.py", "tahoe").format_help())
        else:
            self._run(VERBS[name](self, options), options["traceback"])

    def _run(self, verb: Verb, has_traceback: bool) -> None:
        try:
            verb.run()
        except (OSError, ImproperlyConfigured, SuspiciousFileOperation) as error:
            text = verb.cured(str(error), error)
            raise CommandError(text) from (error if has_traceback else None)
        except KeyboardInterrupt:
            raise CommandError("interrupted", returncode=130) from None
