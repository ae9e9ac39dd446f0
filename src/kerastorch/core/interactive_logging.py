"""Whether `verbose="auto"` shows a progress bar: the setting behind `kerastorch.keras.config`."""

from __future__ import annotations

_is_interactive = [True]


def is_enabled() -> bool:
    """Return whether bars may be drawn for `verbose="auto"`."""
    return _is_interactive[0]


def set_enabled(enabled: bool) -> None:
    """Allow bars for `verbose="auto"`, or only lines of text.

    Args:
        enabled: Whether bars may be drawn.
    """
    _is_interactive[0] = enabled
