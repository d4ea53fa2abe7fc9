"""Runs spin on the models and their mutants."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import field, frozen

HERE = Path(__file__).parent
# Depth of the search, in steps. A search that comes so deep leaves orders out.
_DEPTH = 200_000
_LEFT_OUT = ("Search not completed", "max search depth too small")


@frozen
class Model:
    """
    A model in a file of this folder.

    `variants`: which processes run beside each other. `mutants`: the rule that each one breaks, and
    a variant that shows the loss.
    """

    name: str
    mutants: Mapping[str, str]
    variants: Sequence[str] = field(default=("",))


@frozen
class Result:
    """The result of one check. `found`: the property that does not hold; None if all hold."""

    model: str
    variant: str
    mutant: str
    states: int
    seconds: float
    found: str | None

    @property
    def is_right(self) -> bool:
        """Whether the model holds, or the mutant does not."""
        return bool(self.found) is bool(self.mutant)

    def __str__(self) -> str:
        told = self.found or "nothing"
        wrong = "" if self.is_right else "   <- WRONG"
        return (
            f"{self.model:10} {self.variant.lower():12} {self.mutant.lower():26} "
            f"{self.states:10,} {self.seconds:8.1f}  {told}{wrong}"
        )


MODELS = (
    Model(
        "commit",
        {"REORDERS": "", "NO_MARK": "", "NO_READING_BACK": "", "NO_TURNS": ""},
    ),
    Model(
        "spreading",
        {
            "NO_SECOND_LOOK": "TWO_SAVE",
            "SURE_WHILE_CLOSING": "TWO_SAVE",
            "SURE_TOO_LONG": "TWO_SAVE",
            "CLOSES_TOO_SOON": "TWO_SAVE",
            "OLD_READING": "TWO_SAVE",
            "TWO_PARTS": "TWO_SAVE",
            "NO_LOOK_AT_THE_LINK": "ONE_DELETES",
        },
        ("TWO_SAVE", "TWO_CLOSE", "ONE_DELETES"),
    ),
    Model(
        "handover",
        {
            "USES_A_SLOW_ANSWER": "",
            "COUNTS_FROM_THE_ANSWER": "",
            "NO_WAIT_FOR_CHANGES": "",
            "NO_LOOK_AT_THE_RECORD": "",
            "SKIPS_SAYING_NOBODY": "",
        },
    ),
    Model(
        "spool",
        {
            "NO_LOCKS": "REPLACES",
            "LINKS_BEFORE_IT_TELLS": "REPLACES",
            "FORGETS_OLDER_VERSIONS": "REPLACES",
            "UPDATES_ANY_ENTRY": "REPLACES",
            "REPLACES_ANY_FILE": "REPLACES",
            "REORDERS": "REPLACES",
            "DELETES_AT_ONCE": "DELETES",
        },
        ("REPLACES", "DELETES", "BOTH"),
    ),
)


def check(model: Model) -> Iterator[Result]:
    """Check a model in each variant, then each mutant."""
    for variant in model.variants:
        yield _run(model.name, variant, "")
    for mutant, variant in model.mutants.items():
        yield _run(model.name, variant, mutant)


def _run(name: str, variant: str, mutant: str) -> Result:
    """
    Raises: CalledProcessError if spin, the compiler or the checker fails; RuntimeError if the
    search has left something out.
    """
    text, found = (HERE / f"{name}.pml").read_text(), None
    defined = [f"-D{word}" for word in (variant, mutant) if word]
    with TemporaryDirectory() as folder:
        # spin puts its files beside the source.
        (Path(folder) / "model.pml").write_text(text)

        def run(*command: str, check: bool = True) -> str:
            done = subprocess.run(
                command, cwd=folder, check=check, capture_output=True, text=True, errors="replace"
            )
            return done.stdout

        run("spin", "-a", *defined, "model.pml")
        run("gcc", "-w", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=4000", "-o", "pan", "pan.c")
        told = run("./pan", f"-m{_DEPTH}")
        if "errors: 0" not in told:
            found = _broken(text, run("spin", "-t", *defined, "model.pml", check=False))
        elif any(words in told for words in _LEFT_OUT):
            raise RuntimeError(f"the search of the model {name!r} was not completed:\n{told}")
    states = re.search(r"([\d.e+]+) states, stored", told)
    seconds = re.search(r"elapsed time ([\d.e-]+) seconds", told)
    assert states and seconds, told
    return Result(
        name,
        variant,
        mutant,
        int(float(states[1])),
        float(seconds[1]),
        found,
    )


def _broken(text: str, replay: str) -> str:
    """The comment above the assertion at which the replay of a run ends."""
    line = re.search(r"spin: \S+?:(\d+), Error: assertion violated", replay)
    if line is None:
        return "a process waits for ever"
    before = text.splitlines()[: int(line[1])]
    return next(row.strip(" /*.") for row in reversed(before) if row.strip().startswith("/*"))
