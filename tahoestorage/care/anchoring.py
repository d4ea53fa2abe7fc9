"""Links to all files that a database names by their caps."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import define

from tahoestorage.grid.captree import CapTree
from tahoestorage.reactor.waiting import done
from txtahoe.capnames.anchors import TOGETHER, Anchors
from txtahoe.capnames.names import CapName, digest_of
from txtahoe.caps import BadCap


@define
class Count:
    """`others`: how many of the names carry no cap, or one that is not valid; they get no link."""

    names: int = 0
    linked: int = 0
    others: int = 0


def anchor(
    tree: CapTree,
    names: Iterable[str],
    *,
    rebuild: bool = False,
    progress: Callable[[Count], None] = lambda count: None,
) -> Count:
    """
    Link all names that have no link, and unlink deleted names that are not among them.

    `names`: all names that there are, so that none of them is unlinked; read as the work goes on.
    `rebuild`: read the links themselves, instead of the ledger of them.

    Raises: the errors of `txtahoe`. The links that were made until then stay.
    """
    ledger = done(tree.anchors(lambda anchors: anchors.known(anew=rebuild)))
    count = Count()
    missing: dict[int, CapName] = {}

    def link() -> None:
        some = list(missing.values())
        missing.clear()
        done(tree.anchors(lambda anchors: anchors.link(some, ledger)))
        count.linked += len(some)
        progress(count)

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
            continue
        # The cap may be written in another way than `save` writes it.
        digest = digest_of(name.text)
        ledger.deleted.discard(digest)
        if digest not in ledger:
            missing[digest] = name
        if len(missing) == TOGETHER:
            link()
    if missing:
        link()

    async def finish(anchors: Anchors) -> None:
        await anchors.unlink(ledger)
        await anchors.keep(ledger)

    done(tree.anchors(finish))
    return count
