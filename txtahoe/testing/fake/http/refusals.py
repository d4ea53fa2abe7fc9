"""
The refusals of the gateway, with its words.

The statuses and the beginnings of the texts are those of Tahoe-LAFS's
`allmydata.web.common.humanize_exception`.
"""

from __future__ import annotations


class Refused(Exception):
    """
    A request that the gateway answers with a status of its own and a sentence.

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
    return Lost(
        "allmydata.interfaces.NoSharesError",
        f"no shares (need {needed}). Last failure: None",
        "no shares could be found. Zero shares usually indicates a corrupt URI, or that no servers "
        "were connected, but it might also indicate severe corruption.",
    )


def not_enough_shares(needed: int) -> Lost:
    return Lost(
        "allmydata.interfaces.NotEnoughSharesError",
        f"ran out of shares: complete= pending= overdue= unused= need {needed}.",
        "This indicates that some servers were unavailable, or that shares have been lost to "
        "server departure, hard drive failure, or disk corruption.",
    )


def unrecoverable() -> Lost:
    return Lost(
        "allmydata.mutable.common.UnrecoverableFileError",
        "no recoverable versions",
        "the directory (or mutable file) could not be retrieved, because there were insufficient "
        "good shares.",
    )


def must_be_readonly(name: str) -> Refused:
    text = f"a cap passed to this operation for the child named ''{name}'', needed to be read-only"
    return Refused(400, f"MustBeReadonlyError: {text} but was not.")


def must_be_deep_immutable(name: str) -> Refused:
    text = f"a cap passed to this operation for the child named '{name}', needed to be immutable"
    return Refused(400, f"MustBeDeepImmutableError: {text} but was not.")


def must_not_be_unknown(name: str) -> Refused:
    text = f"an operation to add a child named '{name}' to a directory was given an unknown cap"
    return Refused(400, f"MustNotBeUnknownRWError: {text} in a write slot.")
