"""GlobalStep: batches counted over all epochs of a fit, and which of them are due to be logged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from kerastorch.core.errors import check_int, mismatch

UpdateFreq = int | Literal["epoch", "batch"]


class GlobalStep:
    """The number of batches over all epochs of a fit.

    Args:
        update_freq: Which batches are due: `'epoch'` none, `'batch'` each, an integer n every nth.

    Attributes:
        value: Number of batches so far.
        every: Number of batches from one that is due to the next; `None` if none is due.

    >>> step = GlobalStep(2)
    >>> [step.is_due(batch) for batch in range(4)], step.value
    ([False, True, False, True], 4)
    """

    def __init__(self, update_freq: UpdateFreq) -> None:
        self.every = _batches_between(update_freq)
        self.reset()

    def reset(self) -> None:
        """Start counting at 0, as at the beginning of a training."""
        self.value = self._in_earlier_epochs = 0

    def number_of(self, batch: int) -> int:
        """Return the number, from 1 over all epochs, of a batch of this epoch, counted from 0."""
        return self._in_earlier_epochs + batch + 1

    def is_due(self, batch: int) -> bool:
        """Count up to a batch of this epoch, and return whether it, or one executed with it, is due."""
        last, self.value = self.value, self.number_of(batch)
        return self.every is not None and self.value // self.every > last // self.every

    def end_epoch(self) -> None:
        """Count the next batch as the first of an epoch."""
        self._in_earlier_epochs = self.value

    def state_dict(self) -> dict[str, Any]:
        """Return the counts."""
        return {"now": self.value, "before": self._in_earlier_epochs}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the counts."""
        self.value, self._in_earlier_epochs = state["now"], state["before"]


def _batches_between(update_freq: Any) -> int | None:
    """Return the number of batches from one that is due to the next; `None` if none is due.

    Raises:
        ValueError: `update_freq` is neither `'epoch'` nor `'batch'` nor a positive integer.
    """
    if isinstance(update_freq, str):
        if update_freq not in ("epoch", "batch"):
            raise mismatch("update_freq", update_freq, "'epoch', 'batch' or a number of batches >= 1")
        return 1 if update_freq == "batch" else None
    return check_int("update_freq", update_freq)
