"""Part: what layers and models have in common."""

from __future__ import annotations

import threading

from torch import Tensor

from kerastorch.core.trainable import Freezable
from kerastorch.symbolic.symbolic_call import Recordable


class BaseModule(Recordable, Freezable):
    """A module that is recorded on symbols, can be frozen, and may add to the loss."""

    _aux_losses: list[Tensor] | None = None  # of the running step; set while `fit` or `evaluate` listens
    _aux_losses_thread: int = 0  # the one they run in: `predict` may run in another

    def add_loss(self, loss: Tensor) -> None:
        """Add a scalar to what is minimised; called in `forward`, as Keras' method.

        Args:
            loss: `()`; it joins `loss` as penalties do, and counts in evaluation too. Outside of `fit`, `evaluate` and
                their like it is not heard.
        """
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            given = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else repr(loss)
            raise ValueError(f"add_loss takes a tensor of one number, got {given}; sum or average it.")
        if self._aux_losses is not None and threading.get_ident() == self._aux_losses_thread:
            self._aux_losses.append(loss.reshape(()))
