"""One request for all who ask the same thing at the same time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred

from txtahoe.errors import TahoeError, another

K = TypeVar("K")
T = TypeVar("T")


@define(eq=False)
class Question(Generic[T]):
    """
    A question that is under way.

    `is_outdated`: what it is about has changed since it was asked.
    """

    is_outdated: bool = False
    asking: Deferred[None] | None = None
    waiting: list[Deferred[T]] = field(factory=list)


How = Callable[[Question[T]], Awaitable[T]]


class Questions(Generic[K, T]):
    """Questions under way, by what they are about."""

    def __init__(self) -> None:
        self._questions: dict[K, Question[T]] = {}

    async def ask(self, key: K, how: How[T]) -> tuple[T, bool]:
        """
        The answer to a question that is under way, else `how` asks it; and whether it was asked
        after this call. An older answer proves nothing of what is not in it.
        """
        is_new = key not in self._questions
        question = self._questions.setdefault(key, Question())
        answer = self._answer_for(key, question)
        if is_new:
            # It is nobody's own: who asked first may be cancelled, and the others go on waiting.
            question.asking = Deferred.fromCoroutine(self._answer(key, question, how))
        return await answer, is_new

    async def ask_anew(self, key: K, how: How[T]) -> T:
        """The answer to a question that is asked after this call, be it by another caller."""
        question = self._questions.get(key)
        if question is not None:
            with suppress(TahoeError):  # the failure of an older question
                await self._answer_for(key, question)
        return (await self.ask(key, how))[0]

    def outdate(self, key: K) -> None:
        """It has changed: who asks from now on does not get the answer that is on its way."""
        question = self._questions.pop(key, None)
        if question is not None:
            question.is_outdated = True

    def _answer_for(self, key: K, question: Question[T]) -> Deferred[T]:
        def leave(answer: Deferred[T]) -> None:
            question.waiting.remove(answer)
            if not question.waiting and question.asking is not None:
                self._end(key, question)
                question.asking.cancel()

        answer: Deferred[T] = Deferred(leave)
        question.waiting.append(answer)
        return answer

    async def _answer(self, key: K, question: Question[T], how: How[T]) -> None:
        try:
            result = await how(question)
        except GeneratorExit:  # the reactor has ended, and nobody waits any more
            raise
        except BaseException as error:
            self._end(key, question)
            for answer in question.waiting:
                answer.errback(another(error))
            return
        self._end(key, question)
        for answer in question.waiting:
            answer.callback(result)

    def _end(self, key: K, question: Question[T]) -> None:
        if self._questions.get(key) is question:
            del self._questions[key]
