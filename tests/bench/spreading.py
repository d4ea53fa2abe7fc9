"""The cost of one call as a directory grows: a flat one, and one that is spread over parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from secrets import token_hex

from attrs import define, field, frozen
from django.core.files.base import ContentFile

from tahoestorage.reactor.waiting import done
from tahoestorage.storage import TahoeStorage
from tests.bench.case import Action, Case, Side, Speed
from tests.bench.growth import Growth
from tests.bench.place import Place, random_content
from tests.processes import apart
from txtahoe.caps import Cap
from txtahoe.nodes import parse_child
from txtahoe.tree.spread.format import contents_of

NAMES = (0, 1_000, 10_000, 100_000)
FLAT_NAMES = (0, 1_000, 10_000)
"""A flat directory of 100,000 names would take half a minute for each change, if at all."""
_BATCH = 2_000
_SMALL = Cap.parse("URI:LIT:onwwc3dm")
_ROUNDS = 3
_DIRECTORY = "d"
_TARGET = "target.bin"


@frozen
class Bed:
    """A directory below `root`, with a file to read."""

    root: str
    content: bytes


# The call that is timed, with a new name; and the call that prepares it.
Call = Callable[[TahoeStorage, Bed, str], None]
Prepare = Callable[[TahoeStorage, Bed], Action]


@define
class Beds:
    """Directories with many names. Each is filled once."""

    fanout: bool
    _kept: dict[int, Bed] = field(factory=dict)

    def of_names(self, names: int, place: Place) -> Bed:
        if names not in self._kept:
            self._kept[names] = self._filled(names, place)
        return self._kept[names]

    def storage(self, place: Place, bed: Bed) -> TahoeStorage:
        options = place.options(bed.root)
        return apart(TahoeStorage(**{**options, "fanout": self.fanout}))

    def _filled(self, names: int, place: Place) -> Bed:
        root = place.bare.make_directory()
        bed = Bed(root, random_content())
        tree = self.storage(place, bed).operations.tree
        links = [(f"{_DIRECTORY}/{number:06}.bin", _SMALL) for number in range(names)]
        links.append((f"{_DIRECTORY}/{_TARGET}", Cap.parse(place.bare.upload(bed.content))))
        # A directory made with many names is spread. A flat one takes few names at a time.
        batch = len(links) if self.fanout else _BATCH
        for start in range(0, len(links), batch):
            some = links[start : start + batch]
            done(tree.run(lambda tree, _, some=some: tree.link_many(some)))
        return bed


def spreading_cases(most_names: int) -> list[Growth]:
    """Every point of every curve, in directories of up to so many names."""
    points = []
    for axis, beds, numbers in (
        ("fanout", Beds(True), NAMES),
        ("flat", Beds(False), FLAT_NAMES),
    ):
        for names in (number for number in numbers if number <= most_names):
            for operation, prepare in _OPERATIONS.items():
                case = Case(
                    f"growth: {operation}, {axis} {names:,}",
                    1,
                    _side(prepare, beds, names),
                    None,
                    most_rounds=_ROUNDS,
                )
                points.append(Growth(operation, axis, names, case))
            if axis == "fanout":
                points.append(Growth("list", axis, names, listing(beds, names)))
    return points


def listing(beds: Beds, names: int) -> Case:
    """List all names, against the fastest bare requests for the same parts."""
    return Case(
        f"growth: list, fanout {names:,}",
        1,
        _side(_list, beds, names),
        lambda place: partial(_bare_list, place, beds.of_names(names, place)),
        Speed(time=1.5),
        most_rounds=_ROUNDS,
    )


def _side(prepare: Prepare, beds: Beds, names: int) -> Side:
    def side(place: Place) -> Action:
        bed = beds.of_names(names, place)
        return prepare(beds.storage(place, bed), bed)

    return side


def _save(storage: TahoeStorage, bed: Bed, name: str) -> None:
    assert storage.save(name, ContentFile(bed.content)) == name


def _read(storage: TahoeStorage, bed: Bed, name: str) -> None:
    with storage.open(f"{_DIRECTORY}/{_TARGET}") as file:
        assert file.read() == bed.content


def _exists(storage: TahoeStorage, bed: Bed, name: str) -> None:
    assert not storage.exists(name)


def _delete(storage: TahoeStorage, bed: Bed, name: str) -> None:
    storage.delete(name)


def _first(call: Call) -> Prepare:
    """A call in a new process."""
    return lambda storage, bed: partial(call, storage, bed, _new_name())


def _warm(call: Call, before: Call = _exists) -> Prepare:
    """A call right after the call `before`, about the same name or the existing file."""

    def prepare(storage: TahoeStorage, bed: Bed) -> Action:
        name = _new_name()
        assert storage.exists(f"{_DIRECTORY}/{_TARGET}")
        before(storage, bed, name)
        return partial(call, storage, bed, name)

    return prepare


def _new_name() -> str:
    return f"{_DIRECTORY}/{token_hex(8)}.bin"


def _list(storage: TahoeStorage, bed: Bed) -> Action:
    return lambda: storage.listdir(_DIRECTORY)


def _bare_list(place: Place, bed: Bed) -> None:
    below = [place.bare.look_up(bed.root, _DIRECTORY)]
    depth = 0
    while below:
        listings = place.bare.together(place.bare.listing, below, place.concurrency.listings)
        below = [part for listing in listings for part in _parts(listing, depth)]
        depth += 1


def _parts(listing: dict[str, object], depth: int) -> list[str]:
    contents = contents_of({name: parse_child(child) for name, child in listing.items()}, depth)
    return [str(part) for part in contents.parts.values()]


_OPERATIONS = {
    "save": _warm(_save),
    "first save": _first(_save),
    "read": _warm(_read),
    "first read": _first(_read),
    "exists": _warm(_exists),
    "first exists": _first(_exists),
    "delete": _warm(_delete, _save),
}
