"""Why models cannot be trained together."""

from __future__ import annotations


class CannotTrainTogether(Exception):  # noqa: N818 - it is an answer, not a fault
    """The models must be trained one after the other; nothing was changed.

    Args:
        reason: Why, as a sentence without its full stop.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
