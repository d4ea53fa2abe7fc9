"""
Run inside of a site, in a process of its own: commands of a chapter, read as JSON.

It makes the tables and saves some files first, on the grid and in a folder for `migrate`.
"""

from __future__ import annotations

import json
import sys
from io import StringIO
from pathlib import Path

import django
from django.core.files.base import ContentFile


def run(arguments: list[str]) -> dict[str, str | None]:
    """Run a command of manage.py. `error`: the reason if it failed."""
    from django.core.management import CommandError, call_command

    stream = StringIO()
    error = None
    try:
        call_command(*arguments, stdout=stream, stderr=stream)
    except CommandError as problem:
        stream.write(f"CommandError: {problem}")
    except (Exception, SystemExit) as problem:
        error = repr(problem)
    return {"output": stream.getvalue(), "error": error}


def main() -> None:
    """Print the results of the commands on standard input."""
    django.setup()
    from django.core.management import call_command

    call_command("makemigrations", "documents", verbosity=0)
    call_command("migrate", verbosity=0)
    from documents.models import Document

    document = Document()
    document.file.save("report.pdf", ContentFile(b"%PDF" + b"0" * 50_000))
    document.file.storage.save("documents/photo.jpg", ContentFile(b"0" * 200_000))
    Path("media").mkdir()
    Path("media/old.txt").write_bytes(b"old")
    Path("report.pdf").write_bytes(b"%PDF" + b"1" * 50_000)
    results = [run(arguments) for arguments in json.load(sys.stdin)]
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
