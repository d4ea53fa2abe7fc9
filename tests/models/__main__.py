"""
Check the models of the protocols: `python -m tests.models`.

A model is checked exhaustively by spin (Debian's package, with gcc). Each has variants, which put
different processes beside each other, and mutants, which break one rule of the protocol. The model
must hold, and the checker must find the loss in every mutant. The command prints a table: states,
seconds, and the property that each mutant has broken.
"""

from __future__ import annotations

import sys

from tests.models.checker import MODELS, check


def main() -> int:
    """0 if every model holds and every mutant fails."""
    print(f"{'model':10} {'variant':12} {'mutant':26} {'states':>10} {'seconds':>8}  found")
    are_right = True
    for model in MODELS:
        for result in check(model):
            print(result, flush=True)
            are_right = are_right and result.is_right
    return 0 if are_right else 1


if __name__ == "__main__":
    sys.exit(main())
