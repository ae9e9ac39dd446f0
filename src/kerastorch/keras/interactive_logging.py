"""Keras' switch between progress bars and lines of text."""

from __future__ import annotations

from kerastorch.core import interactive_logging


def enable_interactive_logging() -> None:
    """Show progress bars in terminals and notebooks for `verbose="auto"` (default).

    >>> enable_interactive_logging()
    >>> is_interactive_logging_enabled()
    True
    """
    interactive_logging.set_enabled(True)


def disable_interactive_logging() -> None:
    """Show lines of text in place of progress bars for `verbose="auto"`, as in files of output.

    `verbose=1` is a bar nevertheless.

    >>> disable_interactive_logging()
    >>> is_interactive_logging_enabled()
    False
    >>> enable_interactive_logging()
    """
    interactive_logging.set_enabled(False)


def is_interactive_logging_enabled() -> bool:
    """Return whether `verbose="auto"` shows progress bars."""
    return interactive_logging.is_enabled()
