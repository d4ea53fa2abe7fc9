"""A question to one object, and the steps that several operations have in common."""

from __future__ import annotations

from attrs import frozen

from txtahoe.caps import Cap
from txtahoe.testing.fake.http.question import Answer, Question, say
from txtahoe.testing.fake.http.refusals import Refused
from txtahoe.testing.fake.objects.links import Directory, Given
from txtahoe.testing.fake.objects.nodes import Node, linked_node, node_of
from txtahoe.testing.fake.objects.store import Store


@frozen
class Call:
    """
    What is asked of what a path leads to.

    `node`: what is there; None where the last name of a PUT has nothing yet.
    `parent`, `name`: the directory and the name that led there; None for a cap alone.
    """

    question: Question
    store: Store
    node: Node | None
    parent: Directory | None = None
    name: str = ""

    @property
    def target(self) -> Node:
        """What is there, where something is."""
        assert self.node is not None
        return self.node

    @property
    def directory(self) -> Directory:
        """What is there, where it is a directory."""
        return Directory(self.store, self.target.known)

    @property
    def container(self) -> Directory:
        """The directory that led here. Raises: AssertionError, as Tahoe does, for a cap alone."""
        if self.parent is None:
            raise AssertionError
        return self.parent


def upload(store: Store, question: Question) -> Cap:
    """Store the body as the file that `format` asks for; the cap of it. Raises: Refused, Failed."""
    format_ = question.mutable_format
    return (
        store.put_mutable(format_, question.body) if format_ else store.put_immutable(question.body)
    )


def put_new_file(call: Call) -> Answer:
    """Upload the body and link it, as Tahoe's `ReplaceMeMixin.replace_me_with_a_child`."""
    call.container.require_writable()
    cap = upload(call.store, call.question)
    call.container.add({call.name: Given(node_of(cap))}, call.question.replace())
    return say(str(cap), 200 if call.node else 201)


def put_cap(call: Call) -> Answer:
    """Link the cap that is the body: `PUT ?t=uri`."""
    uri = call.question.body.decode()
    node = linked_node(uri, None, call.name)
    call.container.add({call.name: Given(node)}, call.question.replace())
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
