"""All operations of a client and a tree, by name, for tests that try each in trouble."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator, Awaitable, Callable
from itertools import count
from random import randbytes
from typing import Any

from attrs import frozen

from txtahoe import Cap, Client, Node, Tree
from txtahoe.maintenance import (
    check,
    differences,
    list_snapshots,
    remove_snapshot,
    renew,
    restore,
    take_snapshot,
    usage,
)

Operation = Callable[[], Awaitable[Any]]


@frozen
class Things:
    """The objects on the grid before the operations."""

    file: Cap
    literal: Cap
    mutable: Cap
    frozen_directory: Cap
    directory: Cap
    root: Cap
    maintained: Cap

    @classmethod
    async def made_by(cls, client: Client) -> Things:
        # Unique bytes: equal files are one file, which a test may damage.
        file = await client.upload(randbytes(6000))
        literal = await client.upload(b"a literal of some length")
        mutable = await client.create_mutable(b"mutable" * 100)
        directory = await client.mkdir({"file": file, "mutable": mutable, "literal": literal})
        return cls(
            file,
            literal,
            mutable,
            await client.mkdir_immutable({"file": file, "literal": literal}),
            directory,
            await client.mkdir({"directory": directory, "file": file}),
            await client.mkdir({"mutable": mutable, "below": await client.mkdir({"file": file})}),
        )


_numbers = count()


def _new() -> str:
    return f"new {next(_numbers)}"


async def _walked(walking: Awaitable[Any]) -> Any:
    walk = await walking
    return walk, [entry async for entry in walk], walk.stats


async def _begun(walk: AsyncGenerator[Any, None]) -> Any:
    # Only these: other operations have linked the root below itself, so that there is no end.
    steps = [await anext(walk), await anext(walk)]
    await walk.aclose()
    return steps


async def _unlinked(client: Client, things: Things) -> None:
    name = _new()
    await client.link(things.directory, name, things.file)
    await client.unlink(things.directory, name, await client.child(things.directory, name))


def on_files(client: Client, things: Things) -> dict[str, Operation]:
    return {
        "upload": lambda: client.upload(b"new bytes" * 100),
        "upload of a file": lambda: client.upload(io.BytesIO(b"more" * 100_000)),
        "create_mutable": lambda: client.create_mutable(b"x" * 100),
        "overwrite": lambda: client.overwrite(things.mutable, b"y" * 100),
        "write_at": lambda: client.write_at(things.mutable, b"z", 5),
        "read": lambda: client.read(things.file),
        "read of a literal": lambda: client.read(things.literal),
        "read of a mutable": lambda: client.read(things.mutable),
        "read of a range": lambda: client.read(things.file, 5, 10),
        "download": lambda: client.download(things.file),
        "size of a mutable": lambda: client.size(things.mutable),
    }


def on_directories(client: Client, things: Things) -> dict[str, Operation]:
    directory = things.directory
    return {
        "mkdir": lambda: client.mkdir(),
        "mkdir with children": lambda: client.mkdir({"f": things.file, "m": things.mutable}),
        "mkdir_immutable": lambda: client.mkdir_immutable({"f": things.file}),
        "info of a file": lambda: client.info(things.file),
        "info of a directory": lambda: client.info(directory),
        "list": lambda: client.list(directory),
        "list of a root": lambda: client.list(things.root),
        "child": lambda: client.child(directory, "mutable"),
        "child directory": lambda: client.child(things.root, "directory"),
        "link": lambda: client.link(directory, _new(), things.mutable),
        "set_children": lambda: client.set_children(
            directory, {_new(): things.mutable, _new(): things.root}
        ),
        "unlink": lambda: _unlinked(client, things),
        "unlink of another": lambda: client.unlink(
            directory, "literal", Node("filenode", things.file)
        ),
        "unlink of a missing name": lambda: client.unlink(directory, "missing"),
        "delete": lambda: client.delete(directory, "literal", Node("filenode", things.literal)),
    }


def on_checks(client: Client, things: Things) -> dict[str, Operation]:
    root = things.root
    return {
        "check": lambda: client.check(things.file),
        "check and repair": lambda: client.check(things.mutable, verify=True, repair=True),
        "check of a literal": lambda: client.check(things.literal),
        "check of a directory": lambda: client.check(things.directory, add_lease=True),
        "deep_check": lambda: _walked(client.deep_check(root, add_lease=True)),
        "deep_check and repair": lambda: _walked(client.deep_check(root, repair=True, patience=0)),
        "manifest": lambda: _walked(client.manifest(root)),
    }


def on_a_gateway(client: Client) -> dict[str, Operation]:
    return {
        "status": lambda: client.status(),
        "statistics": lambda: client.statistics(),
        "transfers": lambda: client.transfers(),
        "wait_ready": lambda: client.wait_ready(1, timeout=0.1),
    }


async def _replaced(tree: Tree, things: Things) -> None:
    name = _new()
    await tree.link(name, things.file)
    await tree.replace(name, things.mutable, await tree.resolve(name))


async def _removed(tree: Tree) -> None:
    name = _new()
    await tree.make_directories(name)
    await tree.remove_directory(name)


async def _renamed(tree: Tree, things: Things) -> None:
    name = _new()
    await tree.link(f"{name}/old", things.mutable)
    await tree.rename(f"{name}/old", f"{name}/new")
    await tree.unlink(f"{name}/new")


def on_a_tree(client: Client, things: Things) -> dict[str, Operation]:
    # A new tree each time: it knows no directory yet.
    def new() -> Tree:
        return Tree(client, things.root)

    return {
        "Tree.resolve": lambda: new().resolve("directory/mutable"),
        "Tree.list": lambda: new().list("directory"),
        "Tree.read": lambda: new().read("file", 1, 2),
        "Tree.read of a directory": lambda: new().read("directory"),
        "Tree.size": lambda: new().size("directory/mutable"),
        "Tree.exists": lambda: new().exists("directory/missing"),
        "Tree.make_directories": lambda: new().make_directories(f"directory/{_new()}/more"),
        "Tree.save": lambda: new().save(f"{_new()}/{_new()}", b"saved" * 100),
        "Tree.save_many": lambda: new().save_many(
            [(_new(), b"one" * 100), (f"{_new()}/{_new()}", b"two" * 100)]
        ),
        "Tree.link": lambda: new().link(f"{_new()}/{_new()}", things.mutable),
        "Tree.link_many": lambda: new().link_many(
            [(_new(), things.mutable), (f"{_new()}/{_new()}", things.file)]
        ),
        "Tree.prefetch": lambda: new().prefetch(["directory/mutable", "missing/too", "file"]),
        "Tree.walk": lambda: _begun(new().walk()),
        "Tree.replace": lambda: _replaced(new(), things),
        "Tree.rename": lambda: _renamed(new(), things),
        "Tree.remove_directory": lambda: _removed(new()),
        "Tree.resolve of a missing name": lambda: new().resolve("directory/missing"),
        "Tree.list of a file": lambda: new().list("file"),
        "Tree.save under a taken name": lambda: new().save("file", b"saved" * 100),
        "Tree.save_many of which some fail": lambda: new().save_many(
            [("file", b"one" * 100), ("file/below", b"two" * 100), (_new(), b"three" * 100)]
        ),
        "Tree.unlink of a directory": lambda: new().unlink("directory"),
        "Tree.remove_directory of a full one": lambda: new().remove_directory("directory"),
    }


def on_whole_trees(client: Client, things: Things) -> dict[str, Operation]:
    copy = Tree(client, things.frozen_directory)

    def new() -> Tree:
        return Tree(client, things.maintained)

    return {
        "maintenance.check": lambda: check(new(), verify=True, repair=True),
        "maintenance.renew": lambda: renew(new()),
        "maintenance.take_snapshot": lambda: take_snapshot(new()),
        "maintenance.list_snapshots": lambda: list_snapshots(new()),
        "maintenance.remove_snapshot": lambda: remove_snapshot(new(), "missing"),
        "maintenance.restore": lambda: restore(new(), copy.root, replace=True),
        "maintenance.differences": lambda: differences(new(), copy),
        "maintenance.usage": lambda: usage(new()),
    }


def every(client: Client, things: Things) -> dict[str, Operation]:
    return (
        on_files(client, things)
        | on_directories(client, things)
        | on_checks(client, things)
        | on_a_gateway(client)
        | on_a_tree(client, things)
        | on_whole_trees(client, things)
    )
