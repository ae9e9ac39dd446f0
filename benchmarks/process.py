"""A contender's process, as the harness sees it."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from contenders import CONTENDERS

HERE = Path(__file__).parent
QUIET = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}


def environment(name, tree=None):
    """The variables of its process: no accelerator, little talk, its own; with `tree`, kerastorch of that folder."""
    path = {} if tree is None else {"PYTHONPATH": str(tree / "src")}
    return os.environ | QUIET | CONTENDERS[name].environment | path


class Worker:
    """A process that does tasks; use it as a context manager, which ends it.

    Args:
        name: of the contender.
        threads: of every library in it.
        quick: whether tasks are cut down.
        tree: a folder with another version of kerastorch.
    """

    def __init__(self, name, threads, quick=False, tree=None):
        self.name, self.quick = name, quick
        self._words = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), name, str(threads)],
            env=environment(name, tree),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            text=True,
        )

    def do(self, task):
        """Do a task once; an answer of `worker.py`, or where the process died `{"skip": its last words}`."""
        try:
            self._process.stdin.write(json.dumps({"task": task, "quick": self.quick}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # there is no line to read then either
        line = self._process.stdout.readline()
        return json.loads(line) if line else {"skip": f"its process ended: {self._last_words()}"}

    def _last_words(self):
        self._process.wait()
        self._words.seek(0)
        lines = self._words.read().strip().splitlines()
        return lines[-1].strip() if lines else f"exit code {self._process.returncode}"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.terminate()
        self._process.wait()
        self._words.close()
