"""A question to one object, and the steps that several operations have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import evolve, frozen

from txtahoe.caps import Cap
from txtahoe.testing.fake.http.question import Answer, Question, plain, say
from txtahoe.testing.fake.http.refusals import Refused
from txtahoe.testing.fake.objects.links import Directory, Link
from txtahoe.testing.fake.objects.nodes import Node, linked_node, node_of
from txtahoe.testing.fake.objects.store import Store


@frozen
class Call:
    """
    A question about the object that a path leads to.

    `node`: the object; None where the last name of a PUT has nothing yet.
    `parent`, `name`: the directory and the name that led there; None for a cap alone.
    """

    question: Question
    store: Store
    node: Node | None
    parent: Directory | None = None
    name: str = ""

    @property
    def target(self) -> Node:
        """The object, where there is one."""
        assert self.node is not None
        return self.node

    @property
    def directory(self) -> Directory:
        """The object, where it is a directory."""
        return Directory(self.store, self.target.known)

    @property
    def container(self) -> Directory:
        """The directory that led here. Raises: AssertionError, as Tahoe does, for a cap alone."""
        if self.parent is None:
            raise AssertionError
        return self.parent

    def metadata(self) -> dict[str, object]:
        """For JSON: the metadata of the link that led here, if one did."""
        return {"metadata": self.parent.child(self.name).metadata} if self.parent else {}


Operation = Callable[[Call], Answer]

# GET: of files and directories alike.
CAPS: dict[str, Operation] = {
    "uri": lambda call: plain(call.target.uri),
    "readonly-uri": lambda call: plain(call.target.ro_uri or ""),
}


def get(call: Call, kind: str, operations: Mapping[str, Operation]) -> Answer:
    """GET: the operation of `t`; 304 if the client has the answer already."""
    operation, cap = call.question.operation, call.target.known
    if operation not in operations:
        raise Refused(400, f"GET {kind}: bad t={operation}")
    # Immutable objects that have shares are tagged. The tag is unquoted.
    if cap.is_mutable or cap.storage_index is None:
        return operations[operation](call)
    tag = f"{'DIR:' if cap.is_directory else ''}{cap.storage_index}-{operation}"
    if call.question.headers.get("if-none-match") == tag:
        return Answer(304, b"", {"ETag": tag}, chunked=True)
    answer = operations[operation](call)
    return evolve(answer, headers={**answer.headers, "ETag": tag})


def upload(store: Store, question: Question) -> Cap:
    """Store the body as the file that `format` asks for; its cap. Raises: Refused, Failed."""
    format_ = question.mutable_format
    if format_:
        return store.put_mutable(format_, question.body)
    return store.put_immutable(question.body)


def put_new_file(call: Call) -> Answer:
    """Upload the body and link it, as Tahoe's `ReplaceMeMixin.replace_me_with_a_child`."""
    call.container.require_writable()
    cap = upload(call.store, call.question)
    call.container.add({call.name: Link(node_of(cap))}, call.question.replace())
    return say(str(cap), 200 if call.node else 201)


def put_cap(call: Call) -> Answer:
    """Link the cap that is the body: `PUT ?t=uri`."""
    node = linked_node(call.question.body.decode(), None, call.name)
    call.container.add({call.name: Link(node)}, call.question.replace())
    return say(node.uri)


def put_on_nothing(call: Call) -> Answer:
    """PUT where the last name of the path has nothing yet."""
    if call.question.headers.get("content-range"):
        raise Refused(501, "Content-Range in PUT not yet supported")
    return put_cap(call) if call.question.operation == "uri" else put_new_file(call)


def delete(call: Call) -> Answer:
    """Take the name out of its directory; the answer is the cap that it had."""
    call.container.remove(call.name)
    return say(call.target.uri)
