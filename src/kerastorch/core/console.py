"""Printing messages of callbacks without breaking a progress bar."""

from __future__ import annotations

import sys

from kerastorch.core.process_group import rank


def print_message(sentence: str) -> None:
    """Print a line, above a tqdm bar if one is running.

    In distributed training only the process of rank 0 prints.
    """
    if rank():
        return
    tqdm = sys.modules.get("tqdm")  # if nobody imported it, no bar is running
    if tqdm is None:
        print(sentence, flush=True)
    else:
        tqdm.tqdm.write(sentence, file=sys.stdout)
