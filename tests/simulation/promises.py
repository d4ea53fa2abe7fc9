"""
The properties of the spool that must hold, in the words of `tests/models/spool.pml`.

A version is a file that a process of the host has saved in the spool. It may replace the version
that its user has seen, and those which that one may replace; if it overwrites, any file. These are
the exceptions:

* A deletion deletes what the name has when the deletion comes to it: perhaps a newer version that
  was saved meanwhile. If its outcome is not known, it can come later.
* Between the last look of an uploader and its write, another host can take the name. Its file is
  then replaced: Tahoe-LAFS has no operation that compares and replaces.
* Until the journal says that a version is on the grid, the uploader links it again if another host
  has deleted it.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define, field

from tests.simulation.history import History, Operation
from tests.simulation.properties import may_act

_SAVES = {"take", "overwrite", "edit"}
_CHANGES = _SAVES | {"delete", "save", "save over", "unlink"}
_REFUSED = ("taken", "missing", "failed")


def broken_promises(history: History) -> Iterator[str]:
    """The properties that do not hold at the end of a run, each with its evidence."""
    facts = _Facts(history)
    for operation in history.operations:
        for words in _broken_by(facts, operation):
            yield f"{words}: {operation} was told {operation.told}"
    for name, moments in history.names.items():
        yield from (f"{words}, at {name!r}" for words in _wrong_moments(facts, name, moments))
    for number in sorted(facts.linked):
        places = [name for name, moments in history.names.items() if moments[-1][1] == number]
        if len(places) > 1:
            yield f"No file is there twice: #{number} at {', '.join(places)}"
    yield from (f"Nothing is left in the spool: {left}" for left in history.left)


@define
class _Facts:
    """
    The changes and versions of each name; and when each file was first linked. `versions`: oldest
    first.
    """

    history: History
    changes: dict[str, list[Operation]] = field(factory=dict)
    versions: dict[str, list[Operation]] = field(factory=dict)
    linked: dict[int, int] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        for operation in self.history.operations:
            if operation.kind not in _CHANGES or operation.told in _REFUSED:
                continue
            if operation.kind in _SAVES and operation.saved is None:
                continue
            self.changes.setdefault(operation.name, []).append(operation)
            if operation.kind in _SAVES:
                self.versions.setdefault(operation.name, []).append(operation)
        for versions in self.versions.values():
            versions.sort(key=_saved)
        for moments in self.history.names.values():
            for moment, number in moments:
                if number is not None:
                    self.linked[number] = min(moment, self.linked.get(number, moment))

    def named(self, number: int) -> Operation:
        return self.history.operations[number - 1]

    def is_beside(self, version: Operation) -> bool:
        """Whether a version has, or had, another name than its own."""
        return any(
            name != version.name and any(number == version.number for _, number in moments)
            for name, moments in self.history.names.items()
        )

    def older(self, version: Operation | None) -> Iterator[Operation]:
        """The version that a user has seen and replaced, and those that it has replaced so."""
        while version and version.kind == "edit" and version.expected is not None:
            version = self.named(version.expected)
            yield version

    def replaces(self, version: Operation, number: int) -> bool:
        """Whether a version may replace a file."""
        older = list(self.older(version))
        return any(each.number == number for each in older) or any(
            each.kind == "overwrite" for each in (version, *older)
        )


def _saved(version: Operation) -> int:
    assert version.saved is not None
    return version.saved


def _broken_by(facts: _Facts, operation: Operation) -> Iterator[str]:
    told, name, number = operation.told, operation.name, operation.number
    if told == "wrong":
        yield f"An operation fails with errors of txtahoe alone ({operation.error!r})"
    if operation.kind in _SAVES:
        if told == "made" and operation.saved is None:
            yield "A caller that was told of success has its file in the journal"
        if told in _REFUSED and (operation.saved is not None or number in facts.linked):
            yield "A caller that was told of a failure has no file"
    is_newest = operation in facts.versions.get(name, ())[-1:]
    if is_newest and number not in facts.linked and not _may_be_deleted(facts, operation):
        yield "The newest version is under its name, or beside it"
    if operation.kind == "delete" and told == "made":
        yield from _wrong_deletions(facts, operation)
    if operation.kind in ("look", "list") and operation.is_here and told in ("made", "missing"):
        yield from _wrong_readings(facts, operation)


def _may_be_deleted(facts: _Facts, version: Operation) -> bool:
    return any(
        other.kind == "delete" and (other.is_in_doubt or (other.ended or 0) > _saved(version))
        for other in facts.changes[version.name]
    )


def _wrong_deletions(facts: _Facts, deletion: Operation) -> Iterator[str]:
    history, name = facts.history, deletion.name
    assert deletion.ended is not None
    during = history.during(name, deletion.began, deletion.ended)
    if deletion.expected is None:
        if len(during) == 1 and None not in during:
            yield "What was deleted stays deleted"
        return
    deleted = facts.named(deletion.expected)
    if any(deleted.number in history.during(at, deletion.ended, None) for at in history.names):
        yield f"A deleted version is nowhere, not #{deleted.number}"
    later = history.during(name, deletion.ended, None)
    # A file that the deleted version was not to replace stays: that version had another name.
    is_any = deleted.kind == "overwrite"
    for older in facts.versions[name] if is_any else list(facts.older(deleted)):
        if older.is_here and _saved(older) < _saved(deleted) and older.number in later:
            yield f"An older version than the deleted one is not under the name, not {older}"


def _wrong_readings(facts: _Facts, reading: Operation) -> Iterator[str]:
    """A saved file shows at once, if nobody changes its name meanwhile."""
    names = [reading.name]
    if reading.kind == "list":
        directory = reading.name.rpartition("/")[0]
        names = [name for name in facts.versions if name.rpartition("/")[0] == directory]
    for name in names:
        told = [
            version
            for version in facts.versions.get(name, ())
            if version.told == "made" and (version.ended or 0) < reading.began
        ]
        if not told or facts.is_beside(told[-1]):
            continue
        [newest] = told[-1:]
        others = [
            other
            for other in facts.changes[name]
            if other is not newest
            and not (other.saved is not None and other.saved < _saved(newest))
            and other.began < (reading.ended or 0)
            and (other.is_in_doubt or (other.ended or 0) > newest.began)
        ]
        if not others and reading.found.get(name) != newest.number:
            yield f"A reading finds the newest version, at {name!r} {newest}, not {reading.found}"


def _wrong_moments(
    facts: _Facts, name: str, moments: list[tuple[int, int | None]]
) -> Iterator[str]:
    gone: set[int] = set()
    for (since, before), (moment, after) in zip(moments, moments[1:], strict=False):
        link = facts.named(after) if after else None
        if link and link.is_here:
            yield from _wrong_links(facts, name, link, moment)
            if before and not facts.replaces(link, before) and not _is_late(link, since, moment):
                yield f"No file is replaced that was not to be: #{before} by {link}"
            if link.number in gone and link.linked is not None and link.linked < moment:
                yield f"What was deleted stays deleted: {link} comes back"
        if before is None:
            continue
        gone.add(before)
        if (link is None or not link.is_here) and not _is_taken(facts, name, before, link, moment):
            yield f"No version is lost: {facts.named(before)} is replaced by {link}"


def _is_late(version: Operation, since: int, moment: int) -> bool:
    """Whether a file that was there since a moment came after the look of an uploader."""
    # The last look can be one whose requests come after the write of the one before.
    looks = [look for look in version.looks if look < moment][-2:]
    return version.kind == "edit" and any(look < since for look in looks)


def _wrong_links(facts: _Facts, name: str, version: Operation, moment: int) -> Iterator[str]:
    if name == version.name:
        for newer in facts.versions[name]:
            if _saved(newer) > _saved(version) and facts.linked.get(newer.number, moment) < moment:
                yield f"No older version comes over a newer one: {version} after {newer}"
    else:
        there = facts.history.during(version.name, _saved(version), moment) - {None}
        if there <= {each.number for each in (version, *facts.older(version))}:
            yield f"A version gets another name only if its own is taken, not {version}"


def _is_taken(facts: _Facts, name: str, before: int, link: Operation | None, moment: int) -> bool:
    """Whether an operation may take a file away: a deletion, or the one that links another."""
    owner = facts.named(before)
    if link is not None:
        return link.kind == "save over" and may_act(link, moment)
    return any(
        may_act(other, moment)
        and (other.kind == "delete" or (other.kind == "unlink" and name == owner.name))
        for other in facts.changes[owner.name]
    )
