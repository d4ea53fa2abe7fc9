"""Names and messages that somebody else has chosen, as a terminal can show them safely."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from functools import partial

from django.core.management.base import BaseCommand

# What a shell takes for more than a character of a word; as GNU coreutils have it, with braces.
_SPECIAL = re.compile(r"""^[#~]|[ !"$&'()*;<=>?\[\\^`{|]""")


def quoted(name: str) -> str:
    """
    A name in a message: as a word of the shell, as GNU `ls` shows it on a terminal.

    So nothing in it is obeyed by a terminal, changes the order of what is shown, or is not seen.
    """
    if not name.isprintable():
        escaped = _escaped(name.replace("\\", "\\\\").replace("'", "\\'"))
        return f"$'{escaped}'"
    return shlex.quote(name) if _SPECIAL.search(name) else name


def shown(command: BaseCommand, name: str) -> str:
    """A name on standard output: quoted on a terminal, and as it is for programs."""
    return quoted(name) if command.stdout.isatty() else name


def guard(command: BaseCommand) -> None:
    """
    Let terminals see all characters that a command writes, and obey none of them: messages of a
    gateway may hold any. What the encoding of standard output lacks is escaped.
    """
    for stream in (command.stdout, command.stderr):
        stream.style_func = partial(_visible, stream.style_func)  # it is used on terminals only
    if hasattr(command.stdout, "reconfigure"):
        command.stdout.reconfigure(errors="backslashreplace")


def _visible(style: Callable[[str], str], text: str) -> str:
    return style("\n".join(map(_escaped, text.split("\n"))))


def _escaped(text: str) -> str:
    """A text with the bytes of what can't be seen as octal numbers."""
    return "".join(c if c.isprintable() else _octal(c) for c in text)


def _octal(character: str) -> str:
    # Python has a byte of this machine's names that is no text as one of these.
    is_byte = "\udc80" <= character <= "\udcff"
    encoded = character.encode("utf-8", "surrogateescape" if is_byte else "surrogatepass")
    return "".join(f"\\{byte:03o}" for byte in encoded)
