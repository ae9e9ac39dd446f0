"""NaNWarning: a warning about the first loss of a fit that is NaN or infinite."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from kerastorch.core.errors import warn
from kerastorch.core.finite_check import free_to_read


class NaNWarning:
    """Warns once, with epoch and batch, if the loss can be read without waiting for a device."""

    def __init__(self) -> None:
        self._has_warned = False

    def __call__(self, loss: Any, epoch: int, batch: int) -> None:
        """Check the loss of a batch, or a vector of the losses of several batches."""
        if self._has_warned or not isinstance(loss, Tensor) or not free_to_read(loss):
            return
        value = (loss if loss.ndim == 0 else loss.sum()).item()
        if math.isfinite(value):
            return
        wrong = [index for index, item in enumerate(loss.detach().reshape(-1).tolist()) if not math.isfinite(item)]
        if not wrong:
            return  # only the sum overflows
        self._has_warned = True
        warn(
            f"the loss is {loss.detach().reshape(-1)[wrong[0]].item()} in epoch {epoch + 1}, "
            f"batch {batch + wrong[0] + 1}; callbacks.TerminateOnNaN() stops before such a step."
        )
