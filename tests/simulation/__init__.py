"""
The real code of the protocols, in a simulation: `python -m tests.simulation`.

Several trees stand for several processes. They use one gateway in memory, each with a clock of its
own, while requests and answers are late or lost, processes are killed and the gateway restarts. All
choices come from a seed, so a seed that fails is a test.

Begin with `runs.py`.

    world       the time, the choices and the trace of a run
    gateway     the way of each request to the gateway and back, and what happens to it
    processes   trees, their clocks, and the operations of their users
    history     what each name has led to, and what each caller was told
    properties  what must hold, in the words of `tests.models`
    protocols   what processes do in each protocol; what breaks a rule of it
    runs        a run of a seed

A further protocol is an entry in `protocols.py`.
"""
