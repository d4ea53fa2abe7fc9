"""The command: `python -m tests.suites --help`."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlretrieve

from tests.suites.table import EVERYWHERE, NO_PATH, SUITES, TOOLS, Suite

ROOT = Path(__file__).parents[2]


def main() -> int:
    names = [suite.name for suite in SUITES]
    parser = argparse.ArgumentParser(
        prog="python -m tests.suites",
        description="Run test suites of others with FileSystemStorage and with this storage, on a"
        " gateway in memory. Print what passes with the first alone. The exit status is 1 where"
        " `tests/suites/table.py` has no reason for it. Needs the network.",
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help=", ".join(names))
    parser.add_argument("--folder", type=Path, help="where sources and packages are kept")
    parser.add_argument("--spool", action="store_true", help="give this storage a spool")
    arguments = parser.parse_args()
    if arguments.spool:
        os.environ["SUITE_SPOOL"] = "yes"
    if unknown := set(arguments.names) - set(names):
        parser.error(f"no such suite: {', '.join(sorted(unknown))}")
    chosen = [suite for suite in SUITES if suite.name in (arguments.names or names)]
    with TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        return max([_differs(suite, folder) for suite in chosen])


def _differs(suite: Suite, folder: Path) -> bool:
    """Run a suite, and print how it differs. Return whether a difference has no reason."""
    source = _source(suite, folder / "sources")
    python = _python(suite, folder / "venv")
    local, grid = [_outcomes(suite, source, python, storage) for storage in ("local", "grid")]
    passed = [test for test, failure in local.items() if not failure]
    lost = {test: grid.get(test, "did not run") for test in passed if grid.get(test, "?")}
    print(f"{suite.name}: {len(local)} tests; {len(passed)} pass with FileSystemStorage,", end=" ")
    print(f"{len(passed) - len(lost)} of these with this storage", flush=True)
    if any(NO_PATH in failure for failure in lost.values()):
        # Run them again on a storage that has path().
        again = _outcomes(suite, source, python, "grid with paths")
        lost = {test: again.get(test) or failure for test, failure in lost.items()}
    reasons = {test: _reason(suite, test, failure) for test, failure in lost.items()}
    for reason in sorted(filter(None, set(reasons.values()))):
        print(f"  {list(reasons.values()).count(reason):4} {reason}")
    unknown = [test for test, reason in reasons.items() if not reason]
    for test in unknown:
        print(f"  FAILS {test}\n        {lost[test].strip().splitlines()[-1]}")
    for reason in sorted(set(suite.differences.values()) - set(reasons.values())):
        print(f"  NO LONGER {reason}")
    return bool(unknown) or not passed


def _reason(suite: Suite, test: str, failure: str) -> str | None:
    """Why a test fails with this storage, if the table says so."""
    known = {**suite.differences, **EVERYWHERE}
    return next((known[it] for it in known if re.search(it, f"{test}\n{failure}", re.M)), None)


def _source(suite: Suite, folder: Path) -> Path:
    """The folder with the sources of a suite, downloaded if it is not there yet."""
    source = folder / suite.name
    if not source.exists():
        with TemporaryDirectory() as temporary:
            _download(suite.source, Path(temporary))
            (archive,) = Path(temporary).iterdir()
            with tarfile.open(archive) as tar:
                tar.extractall(f"{temporary}/unpacked", filter="data")
            (unpacked,) = Path(temporary, "unpacked").iterdir()
            shutil.copytree(unpacked, source)
    return source


def _download(source: str, folder: Path) -> None:
    if source.startswith("https:"):
        urlretrieve(source, folder / "source.tar.gz")
    else:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--no-binary=:all:", "--dest", folder, source], check=True)


def _python(suite: Suite, venv: Path) -> Path:
    """The interpreter of an environment in which a suite can run."""
    python = venv / "bin/python"
    install = [python, "-m", "pip", "install", "--quiet"]
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([*install, ROOT], check=True)
        links = venv / "links"  # to the sources, so that changes count at once
        links.mkdir()
        for package in ("txtahoe", "tahoestorage"):
            (links / package).symlink_to(ROOT / package)
        (links / "tahoe_suites").symlink_to(Path(__file__).parent / "inside")
    subprocess.run([*install, *f"{TOOLS} {suite.requirements}".split()], check=True)
    return python


def _outcomes(suite: Suite, source: Path, python: Path, storage: str) -> dict[str, str]:
    """The tests of a suite, each with its failure; an empty text if it passes."""
    with TemporaryDirectory() as temporary:
        copy = shutil.copytree(source, Path(temporary, "source"))
        folder = copy / suite.folder
        outcomes = Path(temporary, "outcomes.json")
        environment = {
            "TMPDIR": temporary,
            "SUITE_STORAGE": storage,
            "SUITE_SETTINGS": suite.settings,
            "SUITE_TESTS": suite.tests,
            "SUITE_OUTCOMES": str(outcomes),
            "DJANGO_SETTINGS_MODULE": "tahoe_suites.settings",
            "PYTHONPATH": f"{folder}:{copy}:{python.parents[1] / 'links'}",
        }
        command = [python, "-m", "pytest", "-p", "tahoe_suites.plugin", "-p", "no:cacheprovider"]
        options = ["-q", "--tb=short", "-o", "python_files=test*.py", "-o", "addopts="]
        done = subprocess.run(
            [*command, *options, *suite.tests.split()],
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )
        if not outcomes.exists():
            raise SystemExit(f"{suite.name} did not run:\n{done.stdout}{done.stderr}")
        # Names of tests may hold the folder.
        text = outcomes.read_text().replace(temporary, "/temporary")
        found: dict[str, str] = json.loads(text)
        return found


if __name__ == "__main__":
    sys.exit(main())
