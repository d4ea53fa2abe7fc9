"""Show names and messages of strangers on a terminal that obeys none of their characters."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

from django.core.management.base import BaseCommand

# Characters with a meaning for a shell: those that GNU coreutils quote, and braces.
_SPECIAL = re.compile(r"""^[#~]|[ !"$&'()*;<=>?\[\\^`{|]""")


def quoted(name: str) -> str:
    """
    A name in a message, as one word of the shell, as GNU `ls` shows it on a terminal.

    The terminal obeys nothing in it, changes no order of characters, and hides none.
    """
    if not name.isprintable():
        escaped = _escaped(name.replace("\\", "\\\\").replace("'", "\\'"))
        return f"$'{escaped}'"
    return shlex.quote(name) if _SPECIAL.search(name) else name


def guard(command: BaseCommand) -> None:
    """
    Let terminals show every character that a command writes, and obey none: the messages of a
    gateway can hold any. Escape the characters that the encoding of standard output lacks.
    """
    for stream in (command.stdout, command.stderr):
        stream.style_func = visible(stream.style_func)  # Django uses it on terminals only
    if hasattr(command.stdout, "reconfigure"):
        command.stdout.reconfigure(errors="backslashreplace")


def visible(style: Callable[[str], str]) -> Callable[[str], str]:
    """A style of Django's that shows the text's invisible characters, and then colours it."""
    return lambda text: style("\n".join(map(_escaped, text.split("\n"))))


def _escaped(text: str) -> str:
    """A text whose invisible characters are octal numbers of their bytes."""
    return "".join(c if c.isprintable() else _octal(c) for c in text)


def _octal(character: str) -> str:
    # Python reads a byte of a file name that is not text as one of these characters.
    is_byte = "\udc80" <= character <= "\udcff"
    encoded = character.encode("utf-8", "surrogateescape" if is_byte else "surrogatepass")
    return "".join(f"\\{byte:03o}" for byte in encoded)
