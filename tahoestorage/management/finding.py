"""Find the files and directories at a path and below it."""

from __future__ import annotations

from txtahoe.maintenance import Progress
from txtahoe.nodes import Node
from txtahoe.tree.paths import Path, is_reserved
from txtahoe.tree.tree import Tree


async def find(
    tree: Tree, path: Path, progress: Progress, *, is_recursive: bool = True
) -> dict[Path, Node]:
    """
    Find the file at a path; or the content of the directory there, and all below if `is_recursive`.

    Raises: NoSuchChild; the errors of `Client`.
    """
    node = await tree.resolve(path)
    if not node.is_directory:
        return {path: node}
    found = await below(tree, path, progress, is_recursive=is_recursive)
    return {path: node for path, node in found.items() if not is_reserved(path)}


async def below(
    tree: Tree, path: Path, progress: Progress, *, is_recursive: bool = True
) -> dict[Path, Node]:
    """Find as `find` everything in a directory, also reserved names. `progress` counts names."""
    found: dict[Path, Node] = {}
    async for directory, children in tree.walk(path):
        found.update({(*directory, name): node for name, node in children.items()})
        progress(len(found), 0)
        if not is_recursive:
            break
    return found
