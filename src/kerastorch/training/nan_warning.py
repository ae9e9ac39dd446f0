"""The first loss of a fit that is NaN or infinite, told where looking costs nothing."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from kerastorch.core.errors import warn
from kerastorch.core.finite_check import free_to_read


class NaNWarning:
    """Warns once, with epoch and batch, where a loss can be read without waiting for a device."""

    def __init__(self) -> None:
        self._told = False

    def __call__(self, loss: Any, epoch: int, batch: int) -> None:
        """The loss of a batch, or a vector of those of several."""
        if self._told or not isinstance(loss, Tensor) or not free_to_read(loss):
            return
        value = (loss if loss.ndim == 0 else loss.sum()).item()
        if math.isfinite(value):
            return
        wrong = [at for at, one in enumerate(loss.detach().reshape(-1).tolist()) if not math.isfinite(one)]
        if not wrong:
            return  # only the sum is not
        self._told = True
        warn(
            f"the loss is {loss.detach().reshape(-1)[wrong[0]].item()} in epoch {epoch + 1}, "
            f"batch {batch + wrong[0] + 1}; callbacks.TerminateOnNaN() stops before such a step."
        )
