"""Cases of work on whole trees."""

from __future__ import annotations

from secrets import token_hex

from tahoestorage.reactor.waiting import done
from tests.bench.case import Action, Case, Limits, Speed
from tests.bench.place import Place, random_content
from txtahoe.maintenance import renew, take_snapshot


def snapshot(files: int = 2000, directories: int = 100) -> Case:
    """A snapshot of a tree with many directories in one directory."""

    def albums(place: Place) -> dict[str, str]:
        cap = place.bare.upload(random_content())
        # All directories differ: the same bytes again would cost less.
        children = (
            {f"{token_hex(4)}.bin": cap for _ in range(files // directories)}
            for _ in range(directories)
        )
        return {str(n): album for n, album in enumerate(place.make_directories(*children))}

    def ours(place: Place) -> Action:
        root = place.bare.make_directory()
        # This makes the directory of snapshots.
        done(place.storage(root).operations.tree.run(lambda tree, _: renew(tree)))
        place.bare.link(root, albums(place))
        storage = place.storage(root)

        def run() -> None:
            taking = storage.operations.tree.run(lambda tree, _: take_snapshot(tree))
            assert done(taking).files == files

        return run

    def bare(place: Place) -> Action:
        root, snapshots = place.make_directories(albums(place), {})

        def run() -> None:
            listing = place.bare.listing(root)
            caps = [told["rw_uri"] for _, told in listing.values()]
            listings = place.bare.together(place.bare.listing, caps, place.concurrency.listings)
            copies = place.bare.together(place.bare.copy, listings, place.concurrency.uploads)
            for (_, told), copy in zip(listing.values(), copies, strict=True):
                told["ro_uri"] = copy
            place.bare.link(snapshots, {"now": place.bare.copy(listing)})

        return run

    return Case(
        f"snapshot of {files} files, {directories} directories",
        directories,
        ours,
        bare,
        Speed(time=1.2),
        # One for each directory and the root, and one write of the list of snapshots.
        Limits(
            requests=2 * (directories + 1) + 1,
            directory_reads=directories + 1,
            directory_writes=directories + 2,
        ),
    )
