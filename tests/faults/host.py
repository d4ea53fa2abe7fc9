"""
A process of a host. It saves from several threads, and prints a line of JSON for each attempt: the
content, and the name that it got or the error. A thread tries each save until it succeeds.

It reads its orders from standard input, because a cap is among them.
"""

from __future__ import annotations

import json
import sys
import threading
from itertools import count
from typing import Any

from attrs import frozen
from django.core.files.base import ContentFile

from tahoestorage.storage import TahoeStorage
from txtahoe.errors import TahoeError


@frozen
class Orders:
    """
    `host`: the number of the process. `gateway`: the gateway of its host. `writer`: the gateway
    that makes the changes of all hosts.
    """

    host: int
    gateway: str
    writer: str
    cap: str
    threads: int
    saves: int


def main() -> None:
    orders = Orders(**json.load(sys.stdin))
    storage = TahoeStorage(
        tahoe_base_url=orders.gateway,
        tahoe_writer_url=orders.writer,
        tahoe_base_cap=orders.cap,
        timeout=20,
    )
    telling = threading.Lock()

    def tell(**told: Any) -> None:
        with telling:
            print(json.dumps(told), flush=True)

    def work(thread: int) -> None:
        for number in range(orders.saves):
            for attempt in count():
                content = f"{orders.host}-{thread}-{number}-{attempt}".center(200, ".")
                name = f"{orders.host // 2}-{thread}-{number}.txt"  # it is wanted on two hosts
                try:
                    saved = storage.save(name, ContentFile(content.encode()))
                    tell(content=content, name=saved)
                    break
                except Exception as error:
                    tell(content=content, error=str(error), is_ours=isinstance(error, TahoeError))

    threads = [threading.Thread(target=work, args=[number]) for number in range(orders.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
