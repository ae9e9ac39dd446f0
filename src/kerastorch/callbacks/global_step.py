"""Steps: batches counted over the epochs of a fit, and which of them are due."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from kerastorch.core.errors import check_int, mismatch

UpdateFreq = int | Literal["epoch", "batch"]


class GlobalStep:
    """The number of the batch, from 1, over all epochs.

    Args:
        update_freq: `'epoch'`: none is due; `'batch'`: each; a number: one in so many.

    Attributes:
        now: batches so far.
        every: one in so many is due; `None`: none.
    """

    def __init__(self, update_freq: UpdateFreq) -> None:
        self.every = _every(update_freq)
        self.begin()

    def begin(self) -> None:
        """Of a training."""
        self.value = self._before = 0

    def number(self, batch: int) -> int:
        """Of a batch of this epoch."""
        return self._before + batch + 1

    def is_due(self, batch: int) -> bool:
        """Whether this batch is due, or one of those that ran with it."""
        last, self.value = self.value, self.number(batch)
        return self.every is not None and self.value // self.every > last // self.every

    def end_epoch(self) -> None:
        """The next batch is the first of an epoch."""
        self._before = self.value

    def state_dict(self) -> dict[str, Any]:
        """Where it stands."""
        return {"now": self.value, "before": self._before}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on there."""
        self.value, self._before = state["now"], state["before"]


def _every(update_freq: Any) -> int | None:
    if isinstance(update_freq, str):
        if update_freq not in ("epoch", "batch"):
            raise mismatch("update_freq", update_freq, "'epoch', 'batch' or a number of batches >= 1")
        return 1 if update_freq == "batch" else None
    return check_int("update_freq", update_freq)
