"""One run: start everything, wait, mend everything, and compare every file."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from django.core.files.storage import Storage
from tqdm import tqdm  # type: ignore[import-untyped]

from tests.seeds import SEED
from tests.soak import disks
from tests.soak.faults import Faults
from tests.soak.growth import Growth
from tests.soak.load import Load
from tests.soak.place import MAX_AGE, Place
from tests.soak.report import Report
from tests.soak.truth import Truth, Verdict, digest


def run(folder: Path, seconds: float) -> Report:
    """The report of a run of so many seconds, or until Ctrl-C."""
    with _bar(seconds) as bar, Place(folder) as place:
        truth = Truth(MAX_AGE, wrong=place.wrong)
        load = Load(place.doors, truth)
        began = time.monotonic()
        faults = Faults(place, load.turns, lambda: (time.monotonic() - began) / seconds)
        growth = Growth()
        report = Report(
            SEED,
            load.tally,
            place.cron.tally,
            faults.tally,
            growth,
            [*place.servers, *(f"host {host.folder.name}" for host in place.hosts)],
            [] if disks.CAN_MOUNT else ["No disk was full: this process may not mount any."],
            wrong=place.wrong,
            moments=faults.moments,
        )
        work = [
            threading.Thread(target=_work, args=(place.wrong, *task), daemon=True)
            for task in (
                ("the faults", faults.work),
                ("cron", place.cron.work, load.turns),
                ("the samples", growth.work, place, load.turns),
            )
        ]
        try:
            for each in work:
                each.start()
            load.start()
            _wait(bar, began, seconds, report)
        except KeyboardInterrupt:
            pass
        report.minutes = (time.monotonic() - began) / 60
        try:
            bar.set_description_str("ending")
            load.end()
            for each in work:
                each.join()
            place.restart_nodes()
            place.cron.finish()
            bar.set_description_str("comparing")
            report.verdict = compare(place, truth)
        except KeyboardInterrupt:
            pass
        return report


def _work(wrong: list[str], name: str, function: Callable[..., None], *arguments: object) -> None:
    """Note in `wrong` if the function fails: the run goes on without it."""
    try:
        function(*arguments)
    except Exception as error:
        wrong.append(f"{name} ended: {error!r}")


def compare(place: Place, truth: Truth) -> Verdict:
    """Read every file, as a process that knows nothing."""
    storage, caps = place.storages()
    plain = [f"{path}/{name}" for path, _, files in storage.walk() for name in files]
    # A name that carries its cap can be read at once, but only a link keeps its file alive.
    linked = {f"{path}/{name}" for path, _, files in caps.walk("kept") for name in files}
    with ThreadPoolExecutor(8) as pool:
        there = dict(zip(plain, pool.map(lambda name: _digest(storage, name), plain), strict=True))
        kept = [name for name in truth.kept if name in linked]
        recalled = dict(zip(kept, pool.map(lambda name: _digest(caps, name), kept), strict=True))
    return truth.judge(there, recalled)


def _digest(storage: Storage, name: str) -> str:
    try:
        with storage.open(name) as file:
            return digest(file.read())
    except OSError as error:
        return f"unreadable: {error}"


def _bar(seconds: float) -> tqdm:
    often = 0.5 if sys.stderr.isatty() else 20
    form = "{desc}: {percentage:3.0f}% {elapsed}{postfix}"
    return tqdm(
        total=seconds, desc="starting", bar_format=form, mininterval=often, maxinterval=often
    )


def _wait(bar: tqdm, began: float, seconds: float, report: Report) -> None:
    bar.set_description_str("running")
    while (gone := time.monotonic() - began) < seconds:
        told = f"{report.operations.total()} operations, {report.faults.total()} faults"
        bar.set_postfix_str(told, refresh=False)
        bar.update(gone - bar.n)
        time.sleep(0.5)
