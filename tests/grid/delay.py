"""
A TCP proxy with the delay and the rate of a long line: `python delay.py PORT TO RTT MBIT`.

Bytes arrive half the round trip time, in seconds, after they were sent, any number at a time; all
connections together send `MBIT` a second ("inf" for any number) in each direction. It stands in for
distance only: no packets are lost, and TCP needs no time to find a rate. It ends with its standard
input.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading

# Bytes wait in the proxy for their turn so long, in seconds, before the sender must wait.
_BUFFER = 0.25


class Direction:
    """One direction of the line, for all connections. Bytes are on it together, in their order."""

    def __init__(self, delay: float, rate: float) -> None:
        self._delay = delay
        self._rate = rate
        self._free = 0.0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on all bytes of one connection."""
        on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_deliver(on_the_way, writer))
            while data := await reader.read(2**16):
                now = asyncio.get_running_loop().time()
                self._free = max(now, self._free) + len(data) / self._rate
                on_the_way.put_nowait((self._free + self._delay, data))
                await asyncio.sleep(self._free - now - _BUFFER)
            on_the_way.put_nowait((self._free + self._delay, b""))


async def _deliver(
    on_the_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
) -> None:
    while True:
        due, data = await on_the_way.get()
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        if not data:
            writer.write_eof()
            return
        writer.write(data)
        await writer.drain()


async def serve(port: int, to: int, rtt: float, mbit: float) -> None:
    """Pass on what comes to a port of this machine, for ever."""
    there, back = (Direction(rtt / 2, mbit * 1e6 / 8) for _ in range(2))

    running = set()  # asyncio itself keeps no task alive

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(task := asyncio.current_task())
        writers = [writer]
        try:
            await asyncio.sleep(rtt)  # the handshake of TCP
            from_server, to_server = await asyncio.open_connection("127.0.0.1", to)
            writers.append(to_server)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(there.carry(reader, to_server))
                tasks.create_task(back.carry(from_server, writer))
        except* OSError:
            pass  # one side is gone
        finally:
            for each in writers:
                each.close()
            running.discard(task)

    async with await asyncio.start_server(connected, "127.0.0.1", port) as server:
        print("listening", flush=True)
        await server.serve_forever()


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_input, daemon=True).start()
    numbers = [float(argument) for argument in sys.argv[1:]]
    asyncio.run(serve(int(numbers[0]), int(numbers[1]), *numbers[2:]))
