"""Start the child process of the check, give it scripts, and end what does not end."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

_GRACE = 10.0  # seconds beyond the time limit of a section, in which the section ends itself
_START = 300.0  # seconds for the imports
_CODE = "from kerastorch.keras.check.child import main; main()"


class ChildProcess:
    """Runs scripts in other processes; a context manager."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._process: subprocess.Popen[str] | None = None
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self._stop()

    def run(self, job: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the messages of a script that runs: `begin` and `end` of sections, then one with `exit`.

        The last message has the exit status; `"timeout"` if the process was ended because a section did not.
        """
        process = self._started()
        assert process.stdin is not None
        process.stdin.write(json.dumps({**job, "timeout": self._timeout}) + "\n")
        process.stdin.flush()
        group: int | None = None
        try:
            while True:
                message = self._next(self._timeout + _GRACE)
                if message is None:
                    yield {"exit": "timeout"}
                    return
                if "group" in message:
                    group = message["group"]
                    continue
                yield message
                if "exit" in message:
                    return
        finally:
            if group is not None:
                _end_group(group)
            if message is None or "exit" not in message:
                self._stop()

    def _started(self) -> subprocess.Popen[str]:
        """Return a process that waits for a script."""
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._stop()
        self._messages = queue.Queue()
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            env=_environment(),
        )
        self._process = process
        threading.Thread(target=_read, args=(process, self._messages), daemon=True).start()
        if "ready" not in (self._next(_START) or {}):
            self._stop()
            raise RuntimeError(f"The child process of the check did not start: {sys.executable} imports no kerastorch.")
        return process

    def _next(self, timeout: float) -> dict[str, Any] | None:
        """Return the next message, one with `exit` if the process has ended, or `None` after `timeout` seconds."""
        try:
            message = self._messages.get(timeout=timeout)
        except queue.Empty:
            return None
        if message is not None:
            return message
        return {"exit": self._process.wait() if self._process is not None else None}

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
            self._process = None


def _read(process: subprocess.Popen[str], messages: queue.Queue[dict[str, Any] | None]) -> None:
    assert process.stdout is not None
    with contextlib.suppress(ValueError):  # the stream is closed
        for line in process.stdout:
            messages.put(json.loads(line))
    messages.put(None)


def _end_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _environment() -> dict[str, str]:
    """Return the environment of the process, which imports this kerastorch; plots open no window."""
    own = Path(__file__).parents[3]
    given = [Path(path).absolute() for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    paths = [str(path) for path in (given if "site-packages" in own.parts else [own, *given])]
    return {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": os.pathsep.join(paths)}
