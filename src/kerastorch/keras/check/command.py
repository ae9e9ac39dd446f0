"""The command line of the check."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from kerastorch.keras.check.checker import check


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 if every section ran, 1 if one did not, and 2 if there is nothing to check.

    Args:
        arguments: The words after the command; `None` reads those of the process.
    """
    parser = argparse.ArgumentParser(
        prog="python -m kerastorch.keras.check",
        description="Run Keras' scripts with kerastorch.keras in place of Keras, and show which of their sections run.",
    )
    parser.add_argument("path", type=Path, help="a script (.py), a notebook (.ipynb), or a folder of them")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for each section (default 60)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers into this file, too")
    given = parser.parse_args(arguments)
    try:
        result = check(given.path, given.timeout, verbose=sys.stderr.isatty())
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(result)
    if given.json is not None:
        given.json.write_text(json.dumps(result.to_dict(), indent=1), encoding="utf-8")
    return 0 if result.is_complete else 1
