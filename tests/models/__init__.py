"""
Models of the protocols, for the model checker spin: `python -m tests.models`.

Each `.pml` file tells at its top what it models, what it relies on, and which part of it stands for
which function. `checker.py` runs them.
"""
