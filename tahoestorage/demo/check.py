"""The main job of the storage, done and timed without a person."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.request import ProxyHandler, build_opener

from attrs import frozen
from django.core.files.base import ContentFile
from PIL import Image

from tahoestorage.demo.folder import DemoFolder
from tahoestorage.demo.progress import Progress
from tahoestorage.demo.report import Report, StepFailed
from tahoestorage.demo.site import prepare_site
from txtahoe.testing.grid import Grid

if TYPE_CHECKING:  # Models can be imported only when Django is set up.
    from tahoestorage.demo.models import Upload

SIZE = 10_000_000
WIDTH, HEIGHT = 640, 480


class WrongAnswerError(Exception):
    """The site did not do what it should have done."""


@frozen
class Sample:
    """A row of the database, and what its file should hold."""

    upload: Upload
    content: bytes


def check(folder: DemoFolder) -> bool:
    """Whether files come back from a grid in `folder`; prints what was done."""
    report = Report()
    try:
        with ExitStack() as stack:
            _check(report, folder, stack)
    except StepFailed as failure:
        print(f"Failed: {failure}", flush=True)
        return False
    print(f"All is well, after {report.seconds:.1f} seconds.", flush=True)
    return True


def _check(report: Report, folder: DemoFolder, stack: ExitStack) -> None:
    with report.step("start the grid") as step, Progress() as progress:
        folder.prepare()
        grid = stack.enter_context(Grid(folder.grid, progress=progress.grid))
        step.about = f"{len(grid.nodes)} nodes; {grid.plan.needed} of {grid.plan.total} shares"
    with report.step("prepare the site") as step:
        prepare_site(folder, grid.gateway_urls[0])
        step.about = "root directory, database, user"
    samples = _save_both(report)
    with report.step("read both back") as step:
        _read_in_second_process(samples)
        step.about = "in another process: same SHA-256, same size"
    for sample in samples:
        with report.step("fetch a public URL") as step:
            step.about = _fetch(sample)
    with report.step("delete both") as step:
        _delete(samples)
        step.about = "names and rows are gone"
    with report.step("stop the grid"):
        stack.close()


def _save_both(report: Report) -> list[Sample]:
    from tahoestorage.demo.models import Document, Picture

    with report.step("save a file") as step:
        content = os.urandom(SIZE)
        document = Document.objects.create(file=ContentFile(content, "check.bin"))
        step.about = f"{document.file.name}, {SIZE / 1e6:.0f} MB"
    with report.step("save an image") as step:
        image = _image()
        picture = Picture.objects.create(file=ContentFile(image, "check.png"))
        _compare((picture.width, picture.height), (WIDTH, HEIGHT), "width and height")
        step.about = f"{picture.file.name}, {WIDTH} x {HEIGHT}"
    return [Sample(document, content), Sample(picture, image)]


def _image() -> bytes:
    file = io.BytesIO()
    Image.effect_mandelbrot((WIDTH, HEIGHT), (-2, -1.2, 1.2, 1.2), 100).save(file, "PNG")
    return file.getvalue()


def _read_in_second_process(samples: Sequence[Sample]) -> None:
    # It finds the site through environment variables; the cap is not among them.
    reader = subprocess.run(
        [sys.executable, "-m", "tahoestorage.demo.digests"],
        input="".join(f"{sample.upload.file.name}\n" for sample in samples),
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    expected = [f"{sha256(sample.content).hexdigest()} {len(sample.content)}" for sample in samples]
    _compare(reader.stdout.splitlines(), expected, "what another process reads")


def _fetch(sample: Sample) -> str:
    opener = build_opener(ProxyHandler({}))  # no proxy leads to loopback
    with opener.open(sample.upload.file.url, timeout=60) as answer:
        _compare(answer.read(), sample.content, "what the public URL gives")
        return f"{len(sample.content):,} bytes of {answer.headers.get_content_type()}"


def _delete(samples: Sequence[Sample]) -> None:
    for sample in samples:
        file = sample.upload.file
        name, model = str(file.name), type(sample.upload)
        sample.upload.delete()
        _compare(file.storage.exists(name), False, f"whether {name} exists")
        _compare(model._default_manager.filter(file=name).exists(), False, "whether its row exists")


def _compare(found: object, expected: object, what: str) -> None:
    if found != expected:
        raise WrongAnswerError(f"{what} is not as it should be")
