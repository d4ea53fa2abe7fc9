"""The states of a directory, and what a process may do with a directory in each of them."""

# Rule 1: this file alone makes every decision that depends on a state, an age or a pace, as far as
# possible by the table. The other modules ask `Fanout`, and do what it says.
#
# Rule 2: this file knows no cap, no request and no clock. It compares ages, in seconds.
#
# Theory
# ======
#
# A directory takes names (open), then is about to take none (closing), then takes none (closed).
# Its names go into parts from then on. A state never goes back.
#
# A process cannot lock a directory, and cannot tell others that it is about to write. It knows only
# what it has read, and that is old at once. So the table limits three things, in paces (one pace is
# `Fanout.pace` seconds; all processes have the same):
#
# 1) `use_within`: how old may a reading be when a process begins a write on the strength of it?
# 2) `sure_within`: how old may it be when the answer arrives, if the process is to trust that the
#    write came before the directory was closed? If it is older, the process reads the directory
#    again, and makes the change in the part too if the directory is closed by then.
# 3) `next_after`: how long must a process have known the state before it makes the next one?
#
# Process A read the directory while it was open; process B closes it at time T. B has known for 3
# paces that it is closing, and A did not see the mark: so A's reading is from before T - 3 paces. A
# trusts an answer only until its reading is 2 paces old, which is before T - 1 pace; every later
# answer makes A look again. The third pace is the margin for slow turns and for clocks that do not
# run equally fast. Each process compares only times of its own clock.
#
# So at any moment the states that processes act on differ by one at most. A process that knows
# nothing of a directory, or whose reading is too old, reads it.
#
# WARNING
# -------
#
# `sure_within + use_within` must not exceed `next_after`. If you shorten the time to close, or let
# a process trust longer, an acknowledged name can vanish: its link comes into the closed directory
# after another process has made the part, and nobody looks again. A test compares the numbers;
# PROTOCOL.md has the sequences.

from __future__ import annotations

from enum import Enum
from math import inf

from attrs import field, frozen
from attrs.validators import ge, gt


class State(Enum):
    """The state of a directory, by its marks."""

    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


@frozen
class Rule:
    """
    The rights of a process over a directory that it has read in a state. Times are in paces.

    `takes_names`: names are linked and unlinked in the directory itself, not in its parts.
    `use_within`: a reading that is older must not begin a change.
    `sure_within`: if the answer to a change arrives when the reading is older, the process must
    read the directory again; 0: always.
    `next`: the next state; `next_after`: for how long a process must have known this one before.
    """

    takes_names: bool
    use_within: float
    sure_within: float
    next: State | None
    next_after: float


RULES = {
    State.OPEN: Rule(True, use_within=1, sure_within=2, next=State.CLOSING, next_after=0),
    State.CLOSING: Rule(True, use_within=1, sure_within=0, next=State.CLOSED, next_after=3),
    State.CLOSED: Rule(False, use_within=inf, sure_within=inf, next=None, next_after=inf),
}


@frozen
class Fanout:
    """
    When a tree spreads its directories.

    `limit`: names up to which a directory stays as it is. Processes may have different limits. A
    change of a directory with 128 names costs a fifth more than of one with a single name.
    `pace`: seconds for which a process may use what it has read of a directory. Closing one takes
    three times as long. All processes must have the same; a tree without a fanout has 10 seconds.

    Raises: ValueError for a limit below 1, or a pace that is not above 0.
    """

    limit: int = field(default=128, validator=ge(1))
    pace: float = field(default=10.0, validator=gt(0))

    def may_use(self, state: State, age: float) -> bool:
        """Whether a reading that is `age` seconds old may begin a change."""
        return age < RULES[state].use_within * self.pace

    def is_sure(self, state: State, age: float) -> bool:
        """
        Whether a change came before the directory was closed, if its answer arrives now.

        `state`, `age`: of the reading on which the change was made; the age in seconds.
        """
        sure_within = RULES[state].sure_within * self.pace
        return bool(sure_within) and age <= sure_within

    def wait(self, state: State, known_for: float) -> float:
        """Seconds until the next state may be made; 0 or less: now."""
        return RULES[state].next_after * self.pace - known_for

    def is_too_large(self, state: State, count: int) -> bool:
        """Whether a directory with `count` names is to be closed, and nobody has begun to."""
        return state is State.OPEN and count > self.limit
