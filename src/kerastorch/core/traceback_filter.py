"""Tracebacks without internal frames: the decorator of public functions, and the switch behind `kerastorch.config`."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import ParamSpec, TypeVar

from kerastorch.core.errors import deduplicate_warnings
from kerastorch.core.keyword_hints import explain_unknown_keyword
from kerastorch.core.ownership import PACKAGE

P = ParamSpec("P")
R = TypeVar("R")

_INTERNAL_PACKAGES = frozenset({PACKAGE, "torch", "torchmetrics"})
_FX_FILE_NAME = "<eval_with_key>"  # the code that torch.fx writes for a graph is in a file of this name

_is_enabled = True


def set_enabled(enabled: bool) -> None:
    """Switch the filtering of tracebacks on or off for the whole process."""
    global _is_enabled
    _is_enabled = enabled


def is_enabled() -> bool:
    """Return whether tracebacks are filtered."""
    return _is_enabled


def public_api(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a public function or method, so that messages of it are short.

    While it runs, each warning is given once; an error that leaves it shows only the frames of the user's code. The
    error keeps its type, message, notes and cause. The error for an unknown keyword argument gets a hint.
    """

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with deduplicate_warnings():
            try:
                return function(*args, **kwargs)
            except Exception as error:
                if isinstance(error, TypeError):
                    explain_unknown_keyword(error, function, kwargs)
                if _is_enabled:
                    filter_tracebacks(error)
                raise  # unlike `raise error`, adds no entry for this frame

    return wrapper


def filter_tracebacks(error: BaseException) -> None:
    """Remove internal frames from the traceback of an error, of its cause, and of the errors that led to it."""
    waiting: list[BaseException | None] = [error]
    visited: set[int] = set()
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in visited:
            continue
        visited.add(id(current))
        current.__traceback__ = _user_frames(current.__traceback__)
        waiting += [current.__cause__, current.__context__]


def _user_frames(traceback: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the frames of kerastorch, torch and torchmetrics.

    Frames of the standard library are removed too if an internal frame called them, such as those of a thread pool;
    they stay if the user's code called them.
    """
    kept = []
    caller_is_hidden = False
    while traceback is not None:
        caller_is_hidden = _is_hidden(traceback.tb_frame, caller_is_hidden)
        if not caller_is_hidden:
            kept.append(traceback)
        traceback = traceback.tb_next
    filtered = None
    for entry in reversed(kept):
        filtered = TracebackType(filtered, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return filtered


def _is_hidden(frame: FrameType, caller_is_hidden: bool) -> bool:
    package = str(frame.f_globals.get("__name__")).partition(".")[0]
    if package in _INTERNAL_PACKAGES or frame.f_code.co_filename.startswith(_FX_FILE_NAME):
        return True
    return caller_is_hidden and package in sys.stdlib_module_names
