"""Cases of reading, and of questions about names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import quote

from django.core.files.base import ContentFile
from django.core.files.storage import Storage

from tests.bench.case import Action, Case, Limits, Speed
from tests.bench.place import Place, random_content, random_files


def reads_of_saved(files: int = 20) -> Case:
    """Open and read files that this process has saved."""

    def ours(place: Place) -> Action:
        return _saved(place.storage(place.bare.make_directory()), files)

    return _reads("open and read, saved here", files, ours)


def reads_of_listed(files: int = 20) -> Case:
    """Open and read files that another process has saved and this one has listed."""

    def ours(place: Place) -> Action:
        contents = random_files(files)
        directory = place.bare.make_directory(place.upload_all(contents))
        storage = place.storage(place.bare.make_directory({"documents": directory}))
        storage.listdir("documents")
        return lambda: read_each(
            storage, {f"documents/{name}": content for name, content in contents.items()}
        )

    return _reads("open and read, listed", files, ours)


def reads_in_new_process(files: int = 40, directories: int = 4) -> Case:
    """Open and read files in unknown directories below `a/b/c`."""

    def tree(place: Place) -> tuple[str, dict[str, bytes]]:
        contents = random_files(files)
        caps = list(place.upload_all(contents).items())
        last = place.make_directories(*(dict(caps[n::directories]) for n in range(directories)))
        cap = place.bare.make_directory({str(n): each for n, each in enumerate(last)})
        for name in "cba":
            cap = place.bare.make_directory({name: cap})
        paths = [f"a/b/c/{index % directories}/{name}" for index, name in enumerate(contents)]
        return cap, dict(zip(paths, contents.values(), strict=True))

    def ours(place: Place) -> Action:
        cap, contents = tree(place)
        storage = place.storage(cap)
        return lambda: read_each(storage, contents)

    def bare(place: Place) -> Action:
        root, contents = tree(place)

        def run() -> None:
            listing = place.bare.children(root)
            for name in "abc":
                listing = place.bare.children(listing[name])
            caps = {directory: place.bare.children(cap) for directory, cap in listing.items()}
            for path, content in contents.items():
                directory, name = path.split("/")[-2:]
                assert place.bare.read(caps[directory][name]) == content

        return run

    return Case(
        f"open and read, new process, {directories} directories",
        files,
        ours,
        bare,
        # The root, `a`, `b` and `c`, and each directory of files.
        limits=Limits(file_reads=files, directory_reads=4 + directories),
        local=lambda place: _saved(place.local(), files),
    )


def questions_about_listed(names: int = 200) -> Case:
    """`url`, `size` and `exists` for each name of a listing."""

    def directory(place: Place) -> str:
        cap = place.bare.upload(random_content())
        return place.bare.make_directory({f"{n}.bin": cap for n in range(names)})

    def ours(place: Place) -> Action:
        storage = place.storage(directory(place))
        return lambda: _ask_about(storage, names)

    def local(place: Place) -> Action:
        storage = place.local()
        for name in random_files(names):
            storage.save(name, ContentFile(b"small"))
        return lambda: _ask_about(storage, names)

    def bare(place: Place) -> Action:
        cap = directory(place)
        return lambda: _urls(place, [(name, cap) for name, cap in place.bare.children(cap).items()])

    return Case(
        f"list {names}, then url, size, exists",
        names,
        ours,
        bare,
        limits=Limits(requests=1),
        local=local,
    )


def questions_about_missing(questions: int = 10) -> Case:
    """`exists` of a missing name in a known directory, four levels deep; each asks anew."""

    def directory(place: Place) -> str:
        return place.bare.make_directory({"first.bin": place.bare.upload(random_content())})

    def ask(storage: Storage) -> Action:
        storage.listdir("a/b/c/d")

        def run() -> None:
            for number in range(questions):
                assert not storage.exists(f"a/b/c/d/{number}.bin")

        return run

    def ours(place: Place) -> Action:
        cap = directory(place)
        for name in "dcba":
            cap = place.bare.make_directory({name: cap})
        return ask(place.storage(cap))

    def local(place: Place) -> Action:
        storage = place.local()
        storage.save("a/b/c/d/first.bin", ContentFile(random_content()))
        return ask(storage)

    def bare(place: Place) -> Action:
        cap = directory(place)

        def run() -> None:
            for _ in range(questions):
                place.bare.children(cap)

        return run

    return Case("exists, missing, 4 deep", questions, ours, bare, Speed(time=1.2), local=local)


def prefetch(names: int = 200, directories: int = 20) -> Case:
    """`prefetch` of names in some directories, and then the URL of each."""

    def tree(place: Place) -> tuple[str, list[str]]:
        cap = place.bare.upload(random_content())
        children = {f"{n}.bin": cap for n in range(names // directories)}
        albums = {
            str(n): album
            for n, album in enumerate(place.make_directories(*[children] * directories))
        }
        root = place.bare.make_directory({"albums": place.bare.make_directory(albums)})
        return root, [f"albums/{album}/{name}" for album in albums for name in children]

    def ours(place: Place) -> Action:
        cap, paths = tree(place)
        storage = place.storage(cap)

        def run() -> None:
            assert storage.prefetch(paths) == set(paths)
            for path in paths:
                assert storage.url(path)

        return run

    def bare(place: Place) -> Action:
        root, paths = tree(place)

        def run() -> None:
            albums = place.bare.children(place.bare.children(root)["albums"])
            listings = place.bare.together(
                place.bare.children, albums.values(), place.concurrency.listings
            )
            caps = dict(zip(albums, listings, strict=True))
            _urls(place, [(path, caps[path.split("/")[1]][path.split("/")[2]]) for path in paths])

        return run

    return Case(
        f"prefetch {names} in {directories} directories, then url",
        names,
        ours,
        bare,
        Speed(time=1.2),
        # The root, `albums`, and each directory of files.
        Limits(requests=2 + directories),
    )


def warm_url(calls: int = 500) -> Case:
    """The URL of a known name."""

    def urls(storage: Storage) -> Action:
        name = storage.save("documents/first.bin", ContentFile(random_content()))
        storage.url(name)

        def run() -> None:
            for _ in range(calls):
                storage.url(name)

        return run

    return Case(
        "url, warm",
        calls,
        lambda place: urls(place.storage(place.bare.make_directory())),
        None,
        Speed(seconds=50e-6),
        Limits(requests=0),
        local=lambda place: urls(place.local()),
    )


def _reads(name: str, files: int, ours: Callable[[Place], Action]) -> Case:
    def bare(place: Place) -> Action:
        contents = random_files(files)
        caps = place.upload_all(contents)

        def run() -> None:
            for name, content in contents.items():
                assert place.bare.read(caps[name]) == content

        return run

    limits = Limits(requests=files, file_reads=files)
    return Case(
        name,
        files,
        ours,
        bare,
        Speed(time=1.2),
        limits,
        local=lambda place: _saved(place.local(), files),
    )


def _saved(storage: Storage, files: int) -> Action:
    """Save files. Returns an action that reads them."""
    contents = random_files(files, "documents")
    for name, content in contents.items():
        storage.save(name, ContentFile(content))
    return lambda: read_each(storage, contents)


def _ask_about(storage: Storage, names: int) -> None:
    _, listed = storage.listdir("")
    assert len(listed) == names
    for name in listed:
        assert storage.url(name)
        assert storage.size(name)
        assert storage.exists(name)


def read_each(storage: Storage, contents: dict[str, bytes]) -> None:
    """Read files, and compare their contents."""
    for name, content in contents.items():
        with storage.open(name) as file:
            assert file.read() == content


def _urls(place: Place, caps: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{place.gateway}named/{quote(cap)}/{quote(name)}" for name, cap in caps]
