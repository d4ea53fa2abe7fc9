"""
Mutation testing of the modules whose faults lose data: `python -m tests.mutation`.

It changes one thing in a module (a comparison, a condition, a constant, a statement that goes), and
runs the tests of that module. If they pass, the mutant lives: a test is missing, or the code says
more than it needs. `table.py` has the modules and their tests, and the survivors that are right.

No file is changed. `running.py` gives a forked process the mutant's code and the tests that reach
the changed lines, the quick ones first. So a mutant takes a fraction of a second. A process that a
test starts by a command runs the code as it is.

No tool fits. mutmut 3.8 runs pytest alone; these tests are trial's. cosmic-ray 8.7 runs any
command, but changes the file itself, and starts the command again for each mutant, with Django,
Twisted and all tests. It deletes no statement.
"""
