"""Facts about a Python block that need no run of it."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

from tests.manual.pages import Block

# A console of asyncio, and of Twisted, takes `await` outside of functions too.
_FLAGS = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
SITE = ("mysite", "documents", "mirror", "files")
"""The packages of the manual's own site, and modules of its programs."""


def parse(block: Block) -> ast.Module:
    """Raises: SyntaxError, with the block's page and line."""
    tree = compile(block.code, block.where, "exec", _FLAGS)
    assert isinstance(tree, ast.Module)
    return tree


def imports(tree: ast.Module) -> Iterator[str]:
    """The import statements of a block, except those of the manual's own site."""
    for node in ast.walk(tree):
        module = node.module if isinstance(node, ast.ImportFrom) else None
        is_import = isinstance(node, ast.Import | ast.ImportFrom)
        if is_import and str(module).partition(".")[0] not in SITE:
            yield ast.unparse(node)


def bound(tree: ast.Module) -> set[str]:
    """The names that a block defines, in any scope."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
    return found


def used(tree: ast.Module) -> set[str]:
    """The names that a block reads, except Python's own."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return names - bound(tree) - set(dir(builtins)) - {"__file__"}
