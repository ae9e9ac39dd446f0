"""Run the sections of a script one after the other in one namespace; the part of the check in the child process."""

from __future__ import annotations
import __future__

import ast
import linecache
import os
import signal
import sys
import time
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kerastorch.keras.check.network import NetworkGuard

_MAX_MESSAGE = 2000  # characters


class TimeLimit(BaseException):
    """Ends a section; not an `Exception`, so that a script's own `except` clauses do not catch it."""


def run_sections(job: Mapping[str, Any], send: Callable[[Mapping[str, Any]], None]) -> None:
    """Run sections and send a message before and after each.

    Args:
        job: `folder`, `file`, `is_notebook`, `timeout` and `sections`, each a list of `[source, name of the file]`.
        send: Takes the messages.
    """
    guard = NetworkGuard()
    guard.install()
    namespace = _main_module(job)
    flags = 0
    for number, pieces in enumerate(job["sections"]):
        send({"begin": number})
        network = len(guard.tried)
        started = time.perf_counter()
        found: dict[str, Any] = {"error": None, "line": None, "piece": 0}
        with_limit = hasattr(signal, "setitimer")
        try:
            if with_limit:
                signal.signal(signal.SIGALRM, _raise_time_limit)
                signal.setitimer(signal.ITIMER_REAL, job["timeout"], 1.0)
            try:
                for index, (source, name) in enumerate(pieces):
                    found["piece"] = index
                    flags |= _future_flags(source)
                    exec(compile(source, name, "exec", flags, True), namespace)
            finally:
                if with_limit:
                    signal.setitimer(signal.ITIMER_REAL, 0.0)
        except BaseException as error:
            found.update(_described(error, [name for _, name in pieces]))
        send({
            "end": number, **found, "seconds": time.perf_counter() - started,
            "network": guard.tried[network:] if found["error"] else [],
        })  # fmt: skip
        if found.get("stops"):
            return


def _raise_time_limit(*_: object) -> None:
    raise TimeLimit


def _main_module(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the namespace of a new `__main__`, in the folder of the script."""
    os.chdir(job["folder"])
    sys.path.insert(0, job["folder"])
    sys.argv = [job["file"]]
    module = types.ModuleType("__main__")
    if job["is_notebook"]:
        for pieces in job["sections"]:
            for source, name in pieces:  # for tracebacks and `inspect.getsource`
                linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    else:
        module.__file__ = str(Path(job["folder"], job["file"]))
    sys.modules["__main__"] = module
    return vars(module)


def _described(error: BaseException, names: list[str]) -> dict[str, Any]:
    """Return the kind and message of an error, and the last line of the script that led to it."""
    if isinstance(error, SystemExit):
        is_end = error.code in (None, 0)
        return {"error": None if is_end else ["SystemExit", str(error.code)], "stops": True, **_last_line(error, names)}
    try:
        message = str(error)
    except Exception:
        message = ""
    if isinstance(error, SyntaxError):
        return {"error": [type(error).__name__, error.msg or ""], "line": error.lineno}
    return {"error": [type(error).__name__, message[:_MAX_MESSAGE]], **_last_line(error, names)}


def _last_line(error: BaseException, names: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name in names:
            found = {"line": trace.tb_lineno, "piece": names.index(name)}
        trace = trace.tb_next
    return found


def _future_flags(source: str) -> int:
    """Return the flags of the compiler that `from __future__ import ...` sets for this section and those after it."""
    try:
        nodes = ast.parse(source).body
    except SyntaxError:
        return 0
    imported = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    features = [getattr(__future__, alias.name, None) for node in imported for alias in node.names]
    return sum({feature.compiler_flag for feature in features if feature is not None})
