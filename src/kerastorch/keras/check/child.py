"""The child process of the check: imports kerastorch once, and runs each script in a fork of itself.

A fork costs milliseconds, the import seconds. Where forks are not safe, the process runs one script and ends.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO

CAN_FORK = sys.platform == "linux"


def main() -> None:
    """Read jobs from the standard input, a line each, and write messages to the standard output."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")  # the script's own output goes nowhere
    jobs = os.fdopen(os.dup(0), "r", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)

    from kerastorch.keras.check.section_runner import run_sections

    def run(job: Mapping[str, Any]) -> None:
        run_sections(job, lambda message: _send(channel, message))

    _send(channel, {"ready": True})
    for line in jobs:
        job = json.loads(line)
        if not CAN_FORK:
            run(job)
            _send(channel, {"exit": 0})
            os._exit(0)  # threads and workers of the script may be left
        process = os.fork()
        if process == 0:
            os.setsid()  # its own group, which the check ends with all that the script has started
            _send(channel, {"group": os.getpid()})
            try:
                run(job)
            finally:
                os._exit(0)
        _, status = os.waitpid(process, 0)
        _send(channel, {"exit": os.waitstatus_to_exitcode(status)})


def _send(channel: TextIO, message: Mapping[str, Any]) -> None:
    channel.write(json.dumps(message) + "\n")
    channel.flush()
