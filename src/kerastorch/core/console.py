"""Sentences of callbacks: printed above a bar that is being drawn, not into it."""

from __future__ import annotations

import sys

from kerastorch.core.process_group import rank


def print_message(sentence: str) -> None:
    """Print a line, in the first of several processes."""
    if rank():
        return
    tqdm = sys.modules.get("tqdm")  # where it was never loaded there is no bar
    if tqdm is None:
        print(sentence, flush=True)
    else:
        tqdm.tqdm.write(sentence, file=sys.stdout)
