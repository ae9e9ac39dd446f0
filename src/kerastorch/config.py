"""Settings of the whole process: how much of a traceback is shown, and where downloaded files are kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from kerastorch.core import cache_dir as cache
from kerastorch.core import traceback_filter
from kerastorch.core.absent_names import absent_name
from kerastorch.core.keras_names import CONFIG
from kerastorch.core.path_checks import parse_path

__all__ = [
    "cache_dir",
    "disable_traceback_filtering",
    "enable_traceback_filtering",
    "is_traceback_filtering_enabled",
    "set_cache_dir",
]


def enable_traceback_filtering() -> None:
    """Show only the frames of your own code in the tracebacks of `fit`, `evaluate`, `predict` and the like (default).

    The frames of kerastorch, torch and torchmetrics are removed from an error that leaves such a method, and from its
    cause. The error itself, its message and its cause stay as they are.

    >>> enable_traceback_filtering()
    >>> is_traceback_filtering_enabled()
    True
    """
    traceback_filter.set_enabled(True)


def disable_traceback_filtering() -> None:
    """Show whole tracebacks, those of kerastorch and torch included, in this process.

    Use it to report a bug, or to follow an error into the library.

    >>> disable_traceback_filtering()
    >>> is_traceback_filtering_enabled()
    False
    >>> enable_traceback_filtering()
    """
    traceback_filter.set_enabled(False)


def is_traceback_filtering_enabled() -> bool:
    """Return whether the tracebacks of `fit`, `evaluate`, `predict` and the like show only your own frames."""
    return traceback_filter.is_enabled()


def set_cache_dir(path: str | os.PathLike[str] | None) -> None:
    """Choose the folder for downloaded files, in this process.

    Datasets are stored in its subfolder `datasets`. The folder is created by the first download.

    Args:
        path: The folder; `~` is the home folder. `None` returns to the environment variable `KERASTORCH_HOME`, or, if
            it is not set, to the default `~/.cache/kerastorch` (`$XDG_CACHE_HOME/kerastorch` if that is set).

    Raises:
        TypeError: `path` is no path.
        NotADirectoryError: `path` is a file.

    >>> set_cache_dir("data")
    >>> cache_dir().name
    'data'
    >>> set_cache_dir(None)
    """
    folder = None if path is None else parse_path("path", path)
    if folder is not None and folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; set_cache_dir needs a folder.")
    cache.choose(folder)


def cache_dir() -> Path:
    """Return the folder for downloaded files, as an absolute path; it may not exist yet.

    >>> cache_dir().is_absolute()
    True
    """
    return cache.current()


def __dir__() -> list[str]:
    return sorted(__all__)


if not TYPE_CHECKING:  # type checkers refuse the names themselves

    def __getattr__(name: str) -> NoReturn:
        raise absent_name(__name__, name, __all__, CONFIG)
