"""
How code that waits reaches the reactor: its thread, and the two ways to wait for it.

`grid` and everything above it import it. Begin with `loop.py` (the thread: its start, forks, its
end), then `waiting.py`. `threads.py` refuses servers whose threads are not real.
"""
