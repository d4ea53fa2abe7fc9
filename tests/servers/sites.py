"""The site for its clients: over HTTP, or through Celery's queue."""

from __future__ import annotations

import http.client
import json
import threading
from base64 import b64decode, b64encode
from typing import Any, Protocol

from billiard.exceptions import WorkerLostError
from celery import Celery
from celery.exceptions import TaskRevokedError
from celery.exceptions import TimeoutError as TaskTimeout

# Far more than any request takes.
PATIENCE = 90.0


class LostError(Exception):
    """There was no answer; the outcome is unknown."""


class RefusedError(LostError):
    """The site refused the connection; nothing was done."""


class WrongAnswerError(Exception):
    """The site says that it failed."""


class Site(Protocol):
    """
    The requests of programs to the demo's site. Each method also gives the process that answered.

    Raises: LostError, RefusedError, WrongAnswerError.
    """

    def upload(self, name: str, content: bytes) -> tuple[int, int]: ...
    def read(self, number: int) -> tuple[int, bytes]: ...
    def names(self) -> tuple[int, list[str]]: ...
    def delete(self, number: int) -> tuple[int, None]: ...


class HttpSite:
    """One connection for each request: none is lost with an idle connection."""

    def __init__(self, port: int) -> None:
        self._port = port

    def upload(self, name: str, content: bytes) -> tuple[int, int]:
        process, answer = self._ask("POST", "upload/", form(name, content))
        return process, json.loads(answer)["number"]

    def read(self, number: int) -> tuple[int, bytes]:
        return self._ask("GET", f"{number}/")

    def names(self) -> tuple[int, list[str]]:
        process, answer = self._ask("GET", "")
        return process, json.loads(answer)["names"]

    def delete(self, number: int) -> tuple[int, None]:
        return self._ask("POST", f"{number}/delete/", b"")[0], None

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        answer, content = self.send(method, path, body)
        if answer.status != 200:
            raise WrongAnswerError(f"{method} {path}: {answer.status} {content[-2000:]!r}")
        return int(answer.headers["X-Process"]), content

    def send(
        self, method: str, path: str, body: bytes | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """The answer, whatever its status, and its body, which is not empty."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        headers = {
            "Content-Type": "multipart/form-data; boundary=boundary",
            "Connection": "close",
        }
        try:
            connection.request(method, f"/served/{path}", body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except ConnectionRefusedError as error:
            raise RefusedError(str(error)) from None
        except (OSError, http.client.HTTPException) as error:
            raise LostError(repr(error)) from None
        finally:
            connection.close()
        if not content:
            raise LostError("cut off, perhaps among its headers")
        return answer, content


def form(name: str, content: bytes) -> bytes:
    """The body of a form with one file, which `HttpSite` can send."""
    disposition = f'Content-Disposition: form-data; name="file"; filename="{name}"'
    head = f"--boundary\r\n{disposition}\r\nContent-Type: application/octet-stream\r\n\r\n"
    return head.encode() + content + b"\r\n--boundary--\r\n"


class QueuedSite:
    """
    The tasks of `served.tasks`, through the Redis at `url`.

    `patience`: seconds after which a task without an answer is lost; it does not begin later.
    """

    def __init__(self, url: str, patience: float = PATIENCE) -> None:
        self._url = url
        self._patience = patience
        # The answers that one application waits for come to any of its threads.
        self._own = threading.local()

    def upload(self, name: str, content: bytes) -> tuple[int, int]:
        answer = self.ask("upload", name, b64encode(content).decode())
        return answer["process"], answer["number"]

    def read(self, number: int) -> tuple[int, bytes]:
        answer = self.ask("read", number)
        return answer["process"], b64decode(answer["content"])

    def names(self) -> tuple[int, list[str]]:
        answer = self.ask("names")
        return answer["process"], answer["names"]

    def delete(self, number: int) -> tuple[int, None]:
        return self.ask("delete", number)["process"], None

    def ask(self, task: str, *arguments: object) -> Any:
        """The result of a task."""
        if not hasattr(self._own, "app"):
            self._own.app = Celery(broker=self._url, backend=self._url, set_as_current=False)
        try:
            sent = self._own.app.send_task(
                f"served.tasks.{task}", arguments, expires=self._patience
            )
            return sent.get(timeout=self._patience)
        except (WorkerLostError, TaskTimeout, TaskRevokedError) as error:
            raise LostError(repr(error)) from None
        except Exception as error:
            raise WrongAnswerError(f"{task}{arguments!r:.200}: {error!r}") from None
