"""Faults: what is done to files, processes and numbers on purpose, how often, and what came of it.

One file a fault or a family of them, `test_WHAT.py`; the numbers F1 to F16 are those of the table in
`docs/reliability.md`. A test function runs twice, with few tries in `make test` and with all of them in `make faults`:

    from harness import tries

    @tries(quick=5, full=100)
    def test_what_holds(tries, report):
        ...
        report("F1", "killed at random times, resumed", tries, "all bit-identical")

`report` is called last, when everything was asserted. `make faults` puts a row for each fault and text into the table,
the tries of tests that say the same added up. `harness.in_child` runs a function in a process of its own, where
it may be killed.
"""

from __future__ import annotations

import platform
import re
from pathlib import Path

import numpy
import pytest
import torch

BEGIN, END = "<!-- what make faults found -->", "<!-- end of what it found -->"


def pytest_addoption(parser):
    parser.addoption("--faults-table", help="a page of the docs, the table of faults in which is written anew")


@pytest.fixture
def report(record_property, request):
    """`report(fault, what, tried, result)`: a row of the table."""
    full = request.node.get_closest_marker("faults") is not None
    return lambda fault, what, tried, result: record_property("fault", (full, fault, what, tried, result))


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    reports = terminalreporter.stats.get("passed", [])
    found = [row for one in reports for key, row in one.user_properties if key == "fault"]
    rows = _rows(found, full=False) | _rows(found, full=True)
    page = config.getoption("faults_table", None)
    if not page:
        return
    table = _table(sorted(rows.values(), key=lambda row: (int(row[0][1:]), row[1])))
    terminalreporter.write_line("\n" + table)
    if exitstatus:
        terminalreporter.write_line(f"Not written to {page}: something failed.")
        return
    text = Path(page).read_text()
    found = re.compile(f"{BEGIN}.*{END}", re.DOTALL)
    Path(page).write_text(found.sub(lambda _: f"{BEGIN}\n{table}\n{END}", text))


def _rows(found, *, full):
    """(fault, what) -> row; the tries of tests that did the same to different things are added up."""
    rows = {}
    for of_full, fault, what, tried, result in found:
        if of_full == full:
            before = rows.get((fault, what), (fault, what, 0, result))
            rows[fault, what] = (fault, what, before[2] + tried, result)
    return rows


def _table(rows):
    where = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, "
    where += f"torch {torch.__version__}, NumPy {numpy.__version__}"
    lines = [
        f"Written by `make faults` on {where}.",
        "",
        "| | what was done | times | what came of it |",
        "|---|---|---:|---|",
    ]
    return "\n".join(lines + [f"| {fault} | {what} | {tried:,} | {result} |" for fault, what, tried, result in rows])
