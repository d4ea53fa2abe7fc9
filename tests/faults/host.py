"""
What one process of a host does: it saves from several threads, and tells of each save what came of
it, a line of JSON each: the name and the content, and the name that it got or the error.

It is told on its standard input what to do, because a cap is among that.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from typing import Any

from attrs import frozen
from django.core.files.base import ContentFile

from tahoestorage.storage import TahoeStorage
from tests.bench.bare import Bare
from txtahoe.errors import TahoeError

Save = Callable[[str, bytes], str]


@frozen
class Orders:
    """
    `host`: the number of the process. `gateway`: that of its host. `writer`: that which makes the
    changes of all hosts; None where requests are made without the storage, through the host's own.
    """

    host: int
    gateway: str
    writer: str | None
    cap: str
    threads: int
    saves: int

    @property
    def saving(self) -> Callable[[], Save]:
        """Gives each thread what it saves with."""
        if self.writer is None:
            return self._bare
        storage = TahoeStorage(
            tahoe_base_url=self.gateway,
            tahoe_writer_url=self.writer,
            tahoe_base_cap=self.cap,
            timeout=20,
        )
        return lambda: lambda name, content: storage.save(name, ContentFile(content))

    def _bare(self) -> Save:
        bare = Bare(self.gateway)

        def save(name: str, content: bytes) -> str:
            bare.link(self.cap, {name: bare.upload(content)})
            return name

        return save


def main() -> None:
    orders = Orders(**json.load(sys.stdin))
    saving = orders.saving
    telling = threading.Lock()

    def tell(**told: Any) -> None:
        with telling:
            print(json.dumps(told), flush=True)

    def work(thread: int) -> None:
        save = saving()
        for number in range(orders.saves):
            content = f"{orders.host}-{thread}-{number}".center(200, ".")
            # With a common writer each name is wanted on two hosts.
            first = orders.host // 2 if orders.writer else orders.host
            name = f"{first}-{thread}-{number}.txt"
            try:
                tell(content=content, name=save(name, content.encode()))
            except Exception as error:
                tell(content=content, error=str(error), is_ours=isinstance(error, TahoeError))

    threads = [threading.Thread(target=work, args=[number]) for number in range(orders.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
