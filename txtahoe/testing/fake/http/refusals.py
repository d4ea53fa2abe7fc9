"""
What the gateway refuses, and in which words.

The words and the statuses are those of Tahoe-LAFS's `allmydata.web.common.humanize_exception`.
"""

from __future__ import annotations

_LOOK_CLOSER = "You should perform a filecheck on this object to learn more."


class Refused(Exception):
    """
    A request that is answered with a status of its own and a sentence.

    `title`: of the page of HTML that says so; empty for a refusal in plain text.
    """

    def __init__(self, status: int, text: str, title: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.title = title


class Lost(Refused):
    """Too few shares. `name` and `reason` are Tahoe's exception and its argument."""

    def __init__(self, name: str, reason: str, text: str) -> None:
        super().__init__(410, f"{name.rpartition('.')[2]}: {text}")
        self.name = name
        self.reason = reason


class Failed(Exception):
    """An exception that Tahoe answers with 500. `name`: its class, with its module."""

    def __init__(self, name: str, reason: str = "") -> None:
        super().__init__(reason)
        self.name = name


class Unanswered(Exception):
    """Tahoe fails while it walks the path, and leaves the request without an answer."""


def existing_child() -> Refused:
    text = "There was already a child by that name, and you asked me to not replace it."
    return Refused(409, text)


def no_such_child(name: str) -> Refused:
    return Refused(404, f"No such child: {name}")


def no_such_resource() -> Refused:
    return Refused(404, "Sorry. No luck finding that resource.", "No Such Resource")


def unknown_method(method: str) -> Refused:
    return Refused(501, f"I don't know how to treat a {method} request.", "Huh?")


def not_writeable() -> Failed:
    return Failed("allmydata.mutable.common.NotWriteableError")


def unhappy_upload(servers: int, happy: int, needed: int) -> Failed:
    return Failed(
        "allmydata.interfaces.UploadUnhappinessError",
        f"shares could be placed or found on only {servers} server(s). We were asked to place "
        f"shares on at least {happy} server(s) such that any {needed} of them have enough shares "
        "to recover the file.",
    )


def no_shares(needed: int) -> Lost:
    reason = f"no shares (need {needed}). Last failure: None"
    return Lost(
        "allmydata.interfaces.NoSharesError",
        reason,
        "no shares could be found. Zero shares usually indicates a corrupt URI, or that no servers "
        "were connected, but it might also indicate severe corruption. "
        f"{_LOOK_CLOSER}\n\nThe full error message is:\n{reason}",
    )


def not_enough_shares(needed: int) -> Lost:
    reason = f"ran out of shares: complete= pending= overdue= unused= need {needed}."
    return Lost(
        "allmydata.interfaces.NotEnoughSharesError",
        reason,
        "This indicates that some servers were unavailable, or that shares have been lost to "
        "server departure, hard drive failure, or disk corruption. "
        f"{_LOOK_CLOSER}\n\nThe full error message is:\n{reason}",
    )


def unrecoverable() -> Lost:
    return Lost(
        "allmydata.mutable.common.UnrecoverableFileError",
        "no recoverable versions",
        "the directory (or mutable file) could not be retrieved, because there were insufficient "
        "good shares. This might indicate that no servers were connected, insufficient servers "
        "were connected, the URI was corrupt, or that shares have been lost due to server "
        f"departure, hard drive failure, or disk corruption. {_LOOK_CLOSER}",
    )


def must_be_readonly(name: str) -> Refused:
    return Refused(
        400,
        f"MustBeReadonlyError: a cap passed to this operation for the child named ''{name}'', "
        "needed to be read-only but was not. The cap is being passed in a read slot (ro_uri), or "
        "was retrieved from a read slot as an unknown cap.",
    )


def must_be_deep_immutable(name: str) -> Refused:
    return Refused(
        400,
        f"MustBeDeepImmutableError: a cap passed to this operation for the child named '{name}', "
        "needed to be immutable but was not. Either the cap is being added to an immutable "
        "directory, or it was originally retrieved from an immutable directory as an unknown cap.",
    )


def must_not_be_unknown(name: str) -> Refused:
    return Refused(
        400,
        f"MustNotBeUnknownRWError: an operation to add a child named '{name}' to a directory was "
        "given an unknown cap in a write slot.\nUsing a webapi server that supports a later "
        "version of Tahoe may help.\n\nIf you are using the webapi directly, specifying a readcap "
        "in the read slot (ro_uri) of the JSON PROPDICT, as well as a writecap in the write slot "
        "if desired, would also work in this case.",
    )
