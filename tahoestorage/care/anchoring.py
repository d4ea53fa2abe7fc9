"""The links to all files that a database names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from attrs import define

from tahoestorage.grid.captree import CapTree
from tahoestorage.reactor.waiting import done
from txtahoe.capnames.anchors import TOGETHER, Anchors
from txtahoe.capnames.ledger import Ledger
from txtahoe.capnames.names import CapName, digest_of
from txtahoe.caps import BadCap


@define
class Count:
    """
    `names`: how many were looked at. `linked`: how many of them were linked now. `others`: how
    many carry no cap, or one that is none; they are left alone.
    """

    names: int = 0
    linked: int = 0
    others: int = 0


def anchor(
    tree: CapTree,
    names: Iterable[str],
    *,
    anew: bool = False,
    progress: Callable[[Count], None] = lambda count: None,
) -> Count:
    """
    Link all names that are not linked, and unlink those that were deleted and are not among them:
    so `names` are to be all that there are. They are read as the work goes on.

    `anew`: do not go by what is written down, but by the links themselves.

    Raises: the errors of `txtahoe`. What was linked until then stays so.
    """
    ledger = done(tree.anchors(lambda anchors: anchors.known(anew=anew)))
    count = Count()

    def link(some: list[CapName]) -> None:
        done(tree.anchors(lambda anchors: anchors.link(some, ledger)))
        count.linked += len(some)
        progress(count)

    missing: list[CapName] = []
    linking: set[int] = set()
    for name in _missing(names, ledger, count):
        digest = digest_of(name.text)
        if digest not in linking and digest not in ledger:
            linking.add(digest)
            missing.append(name)
        if len(missing) == TOGETHER:
            link(missing)
            missing, linking = [], set()
    if missing:
        link(missing)

    async def finish(anchors: Anchors) -> None:
        await anchors.unlink(ledger)
        await anchors.keep(ledger)

    done(tree.anchors(finish))
    return count


def _missing(names: Iterable[str], ledger: Ledger, count: Count) -> Iterator[CapName]:
    """The names that are not in the ledger; of the others none is unlinked."""
    for text in names:
        count.names += 1
        digest = digest_of(text)
        ledger.deleted.discard(digest)
        if digest in ledger:
            continue
        try:
            name = CapName.parse(text)
        except BadCap:
            name = None
        if name is None:
            count.others += 1
        else:
            # The cap may be written in another way than `save` writes it.
            ledger.deleted.discard(digest_of(name.text))
            yield name
