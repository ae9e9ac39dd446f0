"""Settings of the whole process: how much of a traceback is shown."""

from __future__ import annotations

from kerastorch.core import traceback_filter

__all__ = ["disable_traceback_filtering", "enable_traceback_filtering", "is_traceback_filtering_enabled"]


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


def __dir__() -> list[str]:
    return sorted(__all__)
