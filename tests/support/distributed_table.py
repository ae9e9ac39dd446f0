"""The tables in `docs/distributed.md`: what `make distributed` ran in several processes."""

import platform
import re
from collections import Counter
from pathlib import Path

import torch

BEGIN, END = "<!-- what make distributed ran -->", "<!-- end of what it ran -->"
GROUPS = {"two": "2 processes", "three": "3 processes", "four": "4 processes"}  # by fixture
OTHERS = "others"


def group_of(item):
    """Return in which processes a test runs: a value of `GROUPS`, or `OTHERS`.

    Args:
        item: A test of pytest, which has a fixture of a group, or names it in a parameter.
    """
    given = item.callspec.params.values() if hasattr(item, "callspec") else ()
    found = [GROUPS[name] for name in (*given, *item.fixturenames) if isinstance(name, str) and name in GROUPS]
    return found[0] if found else OTHERS


def write_table(page, passed, skipped):
    """Write the tables to a page, between the two marks; return them.

    Args:
        page: Path of the page.
        passed: For each test that passed, its properties.
        skipped: Number of tests that were skipped.
    """
    ran = [value for properties in passed for name, value in properties if name == "ran"]
    matrix = [value for properties in passed for name, value in properties if name == "matrix"]
    table = "\n".join([*_heading(len(ran), skipped), *_matrix_rows(matrix), *_rows(ran)])
    text = Path(page).read_text()
    found = re.compile(f"{BEGIN}.*{END}", re.DOTALL)
    Path(page).write_text(found.sub(lambda _: f"{BEGIN}\n{table}\n{END}", text))
    return table


def _heading(cases, skipped):
    where = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}"
    left_out = f"; {skipped:,} were skipped" if skipped else ""
    return [f"Written by `make distributed` on {where}: {cases:,} cases passed{left_out}.", ""]


def _matrix_rows(matrix):
    """Return the table of trainings beside loops by hand: a row for each kind, two columns for each strategy."""
    strategies = list(dict.fromkeys(strategy for _, strategy, _ in matrix))
    titles = [f"{strategy}: {column}" for strategy in strategies for column in ("cases", "largest difference")]
    lines = ["| 50 steps | " + " | ".join(titles) + " |", "|---" + "|---:" * len(titles) + "|"]
    for kind in dict.fromkeys(kind for kind, _, _ in matrix):
        cells = []
        for strategy in strategies:
            differences = [value for one, other, value in matrix if (one, other) == (kind, strategy)]
            cells += [str(len(differences)), f"{max(differences):.0e}" if differences else ""]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return [*lines, ""] if matrix else []


def _rows(ran):
    """Return the table of all tests: a row for each file, with the number of cases in each group of processes."""
    groups = [*GROUPS.values(), OTHERS]
    counts = Counter(ran)
    lines = ["| all tests | " + " | ".join(groups) + " |", "|---" + "|---:" * len(groups) + "|"]
    for file, what in sorted({(file, what) for file, what, _ in ran}):
        cells = [str(counts[file, what, group] or "") for group in groups]
        lines.append(f"| `{file}`: {what} | " + " | ".join(cells) + " |")
    return lines
