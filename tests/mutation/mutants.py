"""The mutants of a module: its source, with one change each."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from attrs import field, frozen

TOP = Path(__file__).parents[2]

# An operator, and the one that stands in its place.
_OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
_SIMPLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.Delete, ast.Return, ast.Raise)
_SIMPLE += (ast.Continue, ast.Break)
_CONTEXT = "__import__('contextlib').nullcontext()"

# The first byte, the one after the last, and the text that takes their place.
Edit = tuple[int, int, str]


@frozen
class Mutant:
    """
    A change of a module. `path`: below the top of the tree. `text`: the module as it is. `lines`:
    the lines that show the change: of the changed statement, or of every use of the constant. None:
    any line may. `function`: the name of the outermost function around it; None if it runs at
    import.
    """

    path: str
    text: bytes = field(repr=False)
    edits: tuple[Edit, ...]
    line: int
    lines: frozenset[int] | None
    function: str | None

    def source(self) -> str:
        """The whole module, with the change."""
        text = self.text
        for start, stop, new in sorted(self.edits, reverse=True):
            text = text[:start] + new.encode() + text[stop:]
        return text.decode()

    def diff(self) -> tuple[str, str]:
        """The lines before and after the change, without the space around them."""
        start = self.text.rfind(b"\n", 0, min(edit[0] for edit in self.edits)) + 1
        stop = self.text.find(b"\n", max(edit[1] for edit in self.edits))
        changed = self.source().encode()
        after = changed[start : stop + len(changed) - len(self.text)]
        return _in_one_line(self.text[start:stop]), _in_one_line(after)

    def names(self) -> set[str]:
        """The keys of `table.LIVE` that are about it."""
        before, after = self.diff()
        return {before, f"{self.function}: {before} -> {after}"}


def _in_one_line(text: bytes) -> str:
    return " ".join(text.decode().split())


def mutants_of(path: str) -> list[Mutant]:
    """All mutants of a module, from its top to its end."""
    found = {mutant.edits: mutant for mutant in _Module(path).mutants()}
    return sorted(found.values(), key=lambda mutant: (mutant.line, mutant.edits))


class _Module:
    def __init__(self, path: str) -> None:
        self._path = path
        self._text = (TOP / path).read_bytes()
        self._tree = ast.parse(self._text)
        self._starts = [0]
        for line in self._text.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def mutants(self) -> Iterator[Mutant]:
        yield from self._body(self._tree.body, "", None)

    def _body(self, body: Sequence[ast.stmt], place: str, function: str | None) -> Iterator[Mutant]:
        for statement, after in zip_longest(body, body[1:]):
            name = getattr(statement, "name", "")
            if isinstance(statement, ast.ClassDef):
                yield from self._body(statement.body, f"{place}{name}.", function)
            elif isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
                outermost = function or place + name
                yield from self._body(statement.body, f"{place}{name}.<locals>.", outermost)
            elif not self._is_left_out(statement):
                for edits in self._edits(statement, after):
                    yield self._mutant(statement, edits, function)
                for part in ("body", "orelse", "handlers", "finalbody"):
                    below = getattr(statement, part, [])
                    if part == "handlers":
                        for handler in below:
                            yield from self._body(handler.body, place, function)
                    else:
                        yield from self._body(below, place, function)

    def _is_left_out(self, statement: ast.stmt) -> bool:
        """Imports, docstrings, assertions and code for type checkers have no mutants."""
        if isinstance(statement, ast.If):
            return ast.unparse(statement.test) == "TYPE_CHECKING"
        if isinstance(statement, ast.Expr):
            return isinstance(statement.value, ast.Constant)
        return isinstance(statement, (ast.Import, ast.ImportFrom, ast.Assert, ast.Pass))

    def _mutant(self, statement: ast.stmt, edits: tuple[Edit, ...], function: str | None) -> Mutant:
        line = self._text.count(b"\n", 0, edits[0][0]) + 1
        if function is None:
            return Mutant(self._path, self._text, edits, line, self._uses(statement), function)
        body = getattr(statement, "body", None)
        last = body[0].lineno - 1 if body else statement.end_lineno or 0
        lines = range(statement.lineno, max(statement.lineno, last) + 1)
        return Mutant(self._path, self._text, edits, line, frozenset(lines), function)

    def _uses(self, statement: ast.stmt) -> frozenset[int] | None:
        """The lines that use a private constant; None if other modules may use it too."""
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            return None
        name = statement.targets[0].id
        if not name.startswith("_"):
            return None
        names = (node for node in ast.walk(self._tree) if isinstance(node, ast.Name))
        return frozenset(node.lineno for node in names if node.id == name) - {statement.lineno}

    def _edits(self, statement: ast.stmt, after: ast.stmt | None) -> Iterator[tuple[Edit, ...]]:
        if isinstance(statement, _SIMPLE) and not _is_new_name(statement):
            yield (self._edit(statement, "pass"),)
            # Exchange a statement that waits with one beside it that does not.
            if isinstance(after, _SIMPLE) and _waits(statement) != _waits(after):
                first, second = self._segment(statement), self._segment(after)
                if not isinstance(after, (ast.Return, ast.Raise)):
                    yield self._edit(statement, second), self._edit(after, first)
        if isinstance(statement, (ast.With, ast.AsyncWith)):
            for item in statement.items:
                if item.optional_vars is None:
                    yield (self._edit(item.context_expr, _CONTEXT),)
        for expression in _expressions(statement):
            for edit in self._changes(expression):
                yield (edit,)

    def _changes(self, node: ast.AST) -> Iterator[Edit]:
        """The changes of one expression, without those of its parts."""
        if isinstance(node, ast.Compare):
            for number, operator in enumerate(node.ops):
                operators = [*node.ops]
                operators[number] = _OPERATORS[type(operator)]()  # type: ignore[call-overload]
                yield self._edit(
                    node, ast.unparse(ast.Compare(node.left, operators, node.comparators))
                )
        elif isinstance(node, ast.BoolOp):
            other = _OPERATORS[type(node.op)]()
            yield self._edit(node, ast.unparse(ast.BoolOp(other, node.values)))  # type: ignore[arg-type]
            for number in range(len(node.values)):
                rest = node.values[:number] + node.values[number + 1 :]
                left = rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
                yield self._edit(node, f"({ast.unparse(left)})")
        elif isinstance(node, ast.BinOp) and not _is_text(node):
            if type(node.op) in _OPERATORS:
                other = _OPERATORS[type(node.op)]()
                changed = ast.BinOp(node.left, other, node.right)  # type: ignore[arg-type]
                yield self._edit(node, f"({ast.unparse(changed)})")
        elif isinstance(node, ast.AugAssign) and type(node.op) in _OPERATORS:
            operator = _OPERATORS[type(node.op)]()
            changed_too = ast.AugAssign(node.target, operator, node.value)  # type: ignore[arg-type]
            yield self._edit(node, ast.unparse(changed_too))
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
            yield self._edit(node, f"({ast.unparse(node.operand)})")
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, bool):
                yield self._edit(node, str(not node.value))
            elif isinstance(node.value, (int, float)):
                yield self._edit(node, str(node.value + 1))
        for condition in _conditions(node):
            if not isinstance(condition, ast.UnaryOp):
                yield self._edit(condition, f"(not ({ast.unparse(condition)}))")

    def _edit(self, node: ast.AST, new: str) -> Edit:
        return *self._span(node), new

    def _segment(self, node: ast.AST) -> str:
        start, stop = self._span(node)
        return self._text[start:stop].decode()

    def _span(self, node: ast.AST) -> tuple[int, int]:
        assert isinstance(node, (ast.expr, ast.stmt))
        assert node.end_lineno is not None and node.end_col_offset is not None
        start = self._starts[node.lineno - 1] + node.col_offset
        return start, self._starts[node.end_lineno - 1] + node.end_col_offset


def _expressions(statement: ast.stmt) -> Iterator[ast.AST]:
    """A statement and its expressions, without annotations, texts and exceptions that it raises."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        yield node
        for name, value in ast.iter_fields(node):
            below = value if isinstance(value, list) else [value]
            if name in ("annotation", "exc", "cause", "handlers"):
                continue
            waiting += [
                part
                for part in below
                if isinstance(part, ast.AST) and not isinstance(part, (ast.stmt, ast.JoinedStr))
            ]


def _conditions(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        yield node.test
    elif isinstance(node, ast.comprehension):
        yield from node.ifs


def _is_text(node: ast.BinOp) -> bool:
    """Whether it joins texts, or types."""
    return any(
        isinstance(part, ast.JoinedStr) or getattr(part, "value", 0) is None
        for part in (node.left, node.right)
    )


def _is_new_name(statement: ast.stmt) -> bool:
    """Whether it makes a name at import: without it nothing can run."""
    return isinstance(statement, ast.Assign) and statement.col_offset == 0


def _waits(statement: ast.stmt) -> bool:
    return any(isinstance(node, ast.Await) for node in ast.walk(statement))
