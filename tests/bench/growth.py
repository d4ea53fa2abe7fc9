"""The cost of one call as a directory grows, and as paths become longer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from secrets import token_hex

from attrs import field, frozen
from django.core.files.base import ContentFile

from tahoestorage.storage import TahoeStorage
from tests.bench.case import Action, Case, Side
from tests.bench.place import Place, random_content

NAMES = (0, 100, 1_000, 10_000)
DEPTHS = (1, 4, 8)
_BATCH = 2_000
# All runs share the larger directories. Saves add a few names to them.
_MOST_FILLED_ANEW = 100
_TARGET = "target.bin"


@frozen
class Growth:
    """A point of a curve: the call, its axis ("names" or "depth"), and the value on the axis."""

    operation: str
    axis: str
    value: int
    case: Case


@frozen
class Bed:
    """
    A file on the grid, below `root` in directories of these `names`.

    `directory`: the cap of its directory.
    """

    root: str
    names: tuple[str, ...]
    directory: str
    content: bytes

    @property
    def prefix(self) -> str:
        return "".join(f"{name}/" for name in self.names)


@frozen
class Beds:
    """Directories with many names. Each is filled once."""

    _kept: dict[int, Bed] = field(factory=dict)

    def of_names(self, names: int, place: Place) -> Bed:
        """A directory with a number of names beside that of the file."""
        if names in self._kept:
            return self._kept[names]
        bed = _filled(place, names)
        if names > _MOST_FILLED_ANEW:
            self._kept[names] = bed
        return bed


def growth_cases() -> list[Growth]:
    """Every point of every curve."""
    axes = {"names": (NAMES, Beds().of_names), "depth": (DEPTHS, _deep)}
    return [
        _growth(operation, axis, value, partial(bed, value))
        for axis, (values, bed) in axes.items()
        for value in values
        for operation in _OPERATIONS
    ]


def _growth(operation: str, axis: str, value: int, bed: Callable[[Place], Bed]) -> Growth:
    ours, bare = _OPERATIONS[operation]
    case = Case(
        f"growth: {operation}, {axis} {value:,}",
        1,
        _side(ours, bed),
        _side(bare, bed),
        most_rounds=3,
    )
    return Growth(operation, axis, value, case)


def _side(prepare: Callable[[Place, Bed], Action], bed: Callable[[Place], Bed]) -> Side:
    return lambda place: prepare(place, bed(place))


def _filled(place: Place, names: int) -> Bed:
    content = random_content()
    root = place.bare.make_directory({_TARGET: place.bare.upload(content)})
    small = place.bare.upload(b"small")
    for start in range(0, names, _BATCH):
        batch = range(start, min(names, start + _BATCH))
        place.bare.link(root, {f"{index:05}.bin": small for index in batch})
    return Bed(root, (), root, content)


def _deep(depth: int, place: Place) -> Bed:
    content = random_content()
    root = directory = place.bare.make_directory({_TARGET: place.bare.upload(content)})
    names = tuple(f"level{level}" for level in range(depth))
    for name in reversed(names):
        root = place.bare.make_directory({name: root})
    return Bed(root, names, directory, content)


def _save(place: Place, bed: Bed) -> Action:
    """Save in a process that has saved there before."""
    storage = place.storage(bed.root)
    storage.save(bed.prefix + _unused_name(), ContentFile(random_content()))
    return _saving(storage, bed.prefix + _unused_name())


def _first_save(place: Place, bed: Bed) -> Action:
    return _saving(place.storage(bed.root), bed.prefix + _unused_name())


def _saving(storage: TahoeStorage, name: str) -> Action:
    content = ContentFile(random_content())

    def run() -> None:
        assert storage.save(name, content) == name

    return run


def _first_read(place: Place, bed: Bed) -> Action:
    storage = place.storage(bed.root)

    def run() -> None:
        with storage.open(bed.prefix + _TARGET) as file:
            assert file.read() == bed.content

    return run


def _first_questions(place: Place, bed: Bed) -> Action:
    storage = place.storage(bed.root)

    def run() -> None:
        assert storage.exists(bed.prefix + _TARGET)
        assert storage.url(bed.prefix + _TARGET)

    return run


def _bare_save(place: Place, bed: Bed) -> Action:
    content, name = random_content(), _unused_name()
    return lambda: place.bare.link(bed.directory, {name: place.bare.upload(content)})


def _bare_first_save(place: Place, bed: Bed) -> Action:
    content, name = random_content(), _unused_name()

    def run() -> None:
        directory = place.bare.look_up(bed.root, *bed.names) if bed.names else bed.root
        place.bare.link(directory, {name: place.bare.upload(content)})

    return run


def _bare_first_read(place: Place, bed: Bed) -> Action:
    return lambda: place.bare.read(bed.root, *bed.names, _TARGET)


def _bare_first_questions(place: Place, bed: Bed) -> Action:
    return lambda: place.bare.look_up(bed.root, *bed.names, _TARGET)


def _unused_name() -> str:
    return f"{token_hex(8)}.bin"


_OPERATIONS = {
    "save": (_save, _bare_save),
    "first save": (_first_save, _bare_first_save),
    "first read": (_first_read, _bare_first_read),
    "first exists and url": (_first_questions, _bare_first_questions),
}
