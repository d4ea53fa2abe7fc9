"""
The real code of the protocols, in a simulation: `python -m tests.simulation`.

Several trees stand for several processes. They use one gateway in memory, each with a clock of its
own, while requests and answers are late or lost, processes are killed and the gateway restarts. All
choices come from a seed, so a seed that fails is a test. The hand-over of the writer is not in it:
`tests/models/handover.pml` and `tests/txtahoe/maintenance/test_writer.py` have it.

Begin with `runs.py`.

    world       the time, the choices and the trace of a run
    gateway     the way of each request to the gateway and back; the faults on it
    processes   trees, their clocks, and the operations of their users
    history     the operations and their outcomes, and the links that each name has had
    hosts       a host whose processes use one spool, and its disk
    properties  the properties that must hold, in the words of `tests.models`
    promises    those of the spool
    protocols   the habits of processes in each protocol, and its mutants
    runs        a run of a seed

A further protocol is an entry in `protocols.py`.
"""
