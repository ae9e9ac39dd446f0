"""BaseModule: the base class of layers and models."""

from __future__ import annotations

import threading

from torch import Tensor

from kerastorch.core.trainable import Freezable
from kerastorch.symbolic.symbolic_call import Recordable


class BaseModule(Recordable, Freezable):
    """A module that records calls on symbols, can be frozen, and may add terms to the training loss."""

    _aux_losses: list[Tensor] | None = (
        None  # the terms of the running step; `None` unless `fit` or `evaluate` collects them
    )
    _aux_losses_thread: int = 0  # the thread that collects them; `predict` may run in another at the same time

    def add_loss(self, loss: Tensor) -> None:
        """Add a term to the loss of the running step; call it in `forward`.

        The term counts in training and in evaluation, as penalties do. The call has no effect outside of `fit`,
        `evaluate`, `train_on_batch` and `test_on_batch`.

        Args:
            loss: A tensor with one element, of any shape.

        Raises:
            ValueError: `loss` is not a tensor with one element.
        """
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            given = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else repr(loss)
            raise ValueError(f"add_loss takes a tensor of one number, got {given}; sum or average it.")
        if self._aux_losses is not None and threading.get_ident() == self._aux_losses_thread:
            self._aux_losses.append(loss.reshape(()))
