"""The properties that must hold, in the words of the models (`tests/models`)."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.history import History, Operation

LINKS = {"link", "save", "link many", "replace", "replace if unchanged"}
REMOVES = {"unlink", "replace", "replace if unchanged"}


def broken(history: History) -> Iterator[str]:
    """The properties that do not hold at the end of a run, each with its evidence."""
    for operation in history.operations:
        for words in _broken_by(history, operation):
            yield f"{words}: {operation} was told {operation.told}"
    for name, moments in history.names.items():
        yield from (f"{words}, at {name!r}" for words in _wrong_moments(history, name, moments))
    if history.twice:
        yield f"No digit has two parts: {', '.join(sorted(history.twice))}"


def _broken_by(history: History, operation: Operation) -> Iterator[str]:
    told, name, number = operation.told, operation.name, operation.number
    if operation.ended is None:
        return
    during = history.during(name, operation.began, operation.ended)
    later = history.during(name, operation.ended, None)
    if told == "wrong":
        yield f"An operation fails with errors of txtahoe alone ({operation.error!r})"
    if operation.kind in LINKS:
        if told == "made" and number not in during:
            yield "A caller that was told of success has been given the name"
        if told in ("taken", "missing", "failed") and number in later:
            yield "A caller that was told of a failure has no link: no file is there twice"
        if told == "taken" and not during - {None, number} and not _heard(history, operation):
            yield "A name that is taken is taken by something"
    is_unchanged = len(during) == 1 and not _may_be_missing(history, operation, during)
    if operation.kind == "unlink" and told in ("made", "missing") and is_unchanged:
        yield "What was deleted stays deleted"
    if operation.kind in ("look", "list") and told in ("made", "missing"):
        yield from _wrong_readings(history, operation)


def _heard(history: History, operation: Operation) -> bool:
    """
    Whether the operation's process has heard meanwhile that another link of the name was made. That
    write can have begun before.
    """
    return any(
        (other.who, other.name, other.told) == (operation.who, operation.name, "made")
        and other.kind in LINKS
        and other.ended is not None
        and operation.began < other.ended
        for other in history.operations
        if other is not operation
    )


def _wrong_readings(history: History, operation: Operation) -> Iterator[str]:
    assert operation.ended is not None
    directory = operation.name.rpartition("/")[0]
    names = [operation.name]
    if operation.kind == "list":
        names = [name for name in history.names if name.rpartition("/")[0] == directory]
    for name in {**dict.fromkeys(names), **operation.found}:
        found = operation.found.get(name)
        during = history.during(name, operation.began, operation.ended)
        if found is None and _may_be_missing(history, operation, during):
            continue
        if found not in during and not _may_be_elsewhere(history, operation, found):
            yield f"A reading finds what is there, at {name!r} not {found}"


def _may_be_elsewhere(history: History, operation: Operation, found: int | None) -> bool:
    """
    Whether an operation may find a link that was never in force.

    A late link can come into a closed directory that maintenance has replaced. A process that
    remembers the old one finds it there until its maker has made it in the part.
    """
    return (
        history.has_closed
        and found is not None
        and may_act(history.operations[found - 1], operation.began)
    )


def _may_be_missing(history: History, operation: Operation, during: set[int | None]) -> bool:
    """
    Whether an operation may find no link of a name, which had one of some during the operation.

    A link that came late into a closed directory need not be found before its caller is told.
    """
    return any(
        number is None
        or (history.has_closed and not _is_told(history.operations[number - 1], operation.began))
        for number in during
    )


def _is_told(operation: Operation, moment: int) -> bool:
    """Whether the caller of an operation was told of success before a moment."""
    return operation.told == "made" and operation.ended is not None and operation.ended < moment


def _wrong_moments(
    history: History, name: str, moments: list[tuple[int, int | None]]
) -> Iterator[str]:
    gone: dict[int, list[Operation]] = {}
    for (_, before), (moment, after) in zip(moments, moments[1:], strict=False):
        if after in gone:
            # It makes its link again, or the one that took it away is not done with that.
            unfinished = [history.operations[after - 1], *gone[after]]
            if not any(may_act(operation, moment) for operation in unfinished):
                yield f"What was deleted stays deleted: #{after} comes back"
        if before is None:
            continue
        owner = history.operations[before - 1]
        gone[before] = [
            other
            for other in history.operations
            if other.name == name and other.kind in REMOVES and other is not owner
            if may_act(other, moment) and _takes(other, owner)
        ]
        if owner.told == "made" and not gone[before] and not _is_back(history, owner, moment):
            yield f"No acknowledged link is lost: {owner} is replaced by {after}"


def _is_back(history: History, owner: Operation, moment: int) -> bool:
    """Whether an operation has made its link again when it ended, after a moment."""
    assert owner.ended is not None
    at_end = history.during(owner.name, owner.ended, owner.ended)
    return moment < owner.ended and owner.number in at_end


def may_act(operation: Operation, moment: int) -> bool:
    """Whether an operation may change something at a moment."""
    is_over = operation.ended is not None and operation.ended < moment
    return operation.began < moment and (operation.is_in_doubt or not is_over)


def _takes(other: Operation, owner: Operation) -> bool:
    """Whether an operation, if it was not told that it failed, may take a link away."""
    if other.told in ("taken", "missing", "failed"):
        return False
    # Within one process nothing comes between a look and its change.
    if other.kind == "replace if unchanged" and other.who == owner.who:
        return other.expected == owner.number
    return True
