"""What kerastorch says itself: errors and warnings whose sentence is in its source, and no others."""

from __future__ import annotations

import ast
import functools
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import kerastorch

ROOT = Path(kerastorch.__file__).parent


def is_own_error(error: BaseException) -> bool:
    """Whether a `raise` of kerastorch raised it, as one of the errors that are meant for users."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or not isinstance(error, (ValueError, TypeError, RuntimeError)):
        return False
    path = Path(trace.tb_frame.f_code.co_filename)
    return path.is_relative_to(ROOT) and any(trace.tb_lineno in lines for lines in _raises(path))


@functools.cache
def _raises(path: Path) -> list[range]:
    """The lines of all `raise` statements of a file."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return [range(node.lineno, (node.end_lineno or 0) + 1) for node in nodes if isinstance(node, ast.Raise)]


@contextmanager
def foreign_warnings() -> Iterator[list[str]]:
    """Collect the warnings that are not given by `kerastorch.core.errors.warn`, nor by a metric of torchmetrics."""
    found: list[str] = []

    def show(message: Warning | str, category: type[Warning], *place: object) -> None:
        frame = sys._getframe(1)
        while frame is not None and frame.f_globals.get("__name__") == "warnings":
            frame = frame.f_back
        name = "" if frame is None else str(frame.f_globals.get("__name__"))
        if name != "kerastorch.core.errors" and not name.startswith(("torchmetrics.", "lightning_utilities.")):
            found.append(f"{category.__name__}: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show  # type: ignore[assignment]
        yield found
