"""Permission hooks: their answers, blocking and asynchronous."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template import engines
from django.template.response import TemplateResponse
from django.test import AsyncClient
from django.urls import include, path

from tests.tahoestorage.serving.case import ServingTestCase

URL = "/private/f"


class Reader:
    """A hook that is an object."""

    async def __call__(self, request: HttpRequest, name: str) -> bool:
        return True


class HooksTestCase(ServingTestCase):
    def setUp(self) -> None:
        super().setUp()
        storages["private"].save("f", ContentFile(b"x" * 100))

    def ask(self, hook: Callable[..., Any]) -> Any:
        """The answer of a server without an event loop to a request with a permission hook."""
        self.mount(hook)
        return self.get(URL)

    def await_(self, hook: Callable[..., Any]) -> Any:
        """The same of a server with an event loop."""
        self.mount(hook)

        async def ask() -> Any:
            return await AsyncClient().get(URL)

        return asyncio.run(ask())

    def mount(self, hook: Callable[..., Any]) -> None:
        options = {"storage": "private", "permission": hook}
        urls = include("tahoestorage.urls", namespace="private")
        self.override(ROOT_URLCONF=(path("private/", urls, options),))


class Verdicts(HooksTestCase):
    def test_true_lets_the_client_read(self) -> None:
        for asked in (self.ask, self.await_):
            answer = asked(lambda request, name: name == "f")
            self.assertEqual(answer.status_code, 200)
            self.assertEqual(answer["Cache-Control"], "private, no-cache")

    def test_only_true_lets_the_client_read(self) -> None:
        for said in (False, None, 0, "", ()):
            self.assertEqual(self.ask(lambda request, name, said=said: said).status_code, 403)
        for said in (1, "no", [False], object(), 1.0, lambda: False):
            with self.assertLogs("tahoestorage", "WARNING") as logged:
                self.assertEqual(self.ask(lambda request, name, said=said: said).status_code, 403)
            [line] = logged.output
            self.assertIn(f"returned a {type(said).__name__}", line)
            self.assertIn("test_only_true_lets_the_client_read", line)

    def test_a_response_is_sent_as_it_is(self) -> None:
        page = engines["django"].from_string("Who are you?")
        for asked in (self.ask, self.await_):
            answer = asked(lambda request, name: HttpResponseRedirect(f"/login/?next={name}"))
            self.assertEqual((answer.status_code, answer["Location"]), (302, "/login/?next=f"))
            self.assertNotIn("Cache-Control", answer)
            answer = asked(lambda request, name: TemplateResponse(request, page, status=401))
            self.assertEqual((answer.status_code, answer.content), (401, b"Who are you?"))

    def test_an_exception_is_raised(self) -> None:
        def hook(request: HttpRequest, name: str) -> bool:
            raise Http404

        self.assertEqual(self.ask(hook).status_code, 404)


class AsynchronousHooks(HooksTestCase):
    def test_a_server_without_an_event_loop_refuses_them_by_name(self) -> None:
        async def may_read(request: HttpRequest, name: str) -> bool:
            return True

        for hook, name in (
            (may_read, "may_read"),
            (partial(may_read), "functools.partial"),
            (Reader(), "tests.tahoestorage.serving.test_hooks.Reader"),
            (lambda request, name: may_read(request, name), "<lambda>"),
        ):
            with self.assertRaises(ImproperlyConfigured) as caught:
                self.ask(hook)
            self.assertIn(name, str(caught.exception))
        self.assertEqual(self.flushWarnings(), [])

    def test_a_server_with_an_event_loop_awaits_them_there(self) -> None:
        loops: list[Any] = []

        async def may_read(request: HttpRequest, name: str) -> Any:
            loops.append(asyncio.get_running_loop())
            await asyncio.sleep(0)
            return await sync_to_async(lambda: request.headers["X-Reader"] == "yes")()

        async def ask() -> None:
            client = AsyncClient()
            for reader, status in (("yes", 200), ("no", 403)):
                answer = await client.get(URL, headers={"X-Reader": reader})
                self.assertEqual(answer.status_code, status)
            self.assertEqual(loops, [asyncio.get_running_loop()] * 2)

        for hook in (may_read, partial(may_read), lambda request, name: may_read(request, name)):
            loops.clear()
            self.mount(hook)
            asyncio.run(ask())

    def test_an_awaited_answer_counts_as_any_other(self) -> None:
        async def hook(request: HttpRequest, name: str, *, said: Any) -> Any:
            return said

        self.assertEqual(self.await_(Reader()).status_code, 200)
        self.assertEqual(self.await_(partial(hook, said=None)).status_code, 403)
        self.assertEqual(self.await_(partial(hook, said=HttpResponse(status=451))).status_code, 451)
        with self.assertLogs("tahoestorage", "WARNING"):
            self.assertEqual(self.await_(partial(hook, said=1)).status_code, 403)
