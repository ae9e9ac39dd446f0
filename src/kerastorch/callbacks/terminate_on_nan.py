"""TerminateOnNaN: no step is made on a loss or a gradient that is NaN or infinite."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.core.console import print_message
from kerastorch.core.finite_check import all_finite, gradients, is_finite
from kerastorch.core.torch_private import foreach_copy_, write_count
from kerastorch.optimizers.base import optimizer_parameters


class TerminateOnNaN(Callback):
    """Stops training at the first batch whose loss, or any gradient, is NaN or infinite, before the optimizer's step.

    Parameters, buffers such as the running statistics of batch normalisation, and the state of the optimizer are then
    those of the batch before. Epoch and batch are named, both counted from 1.

    Args:
        raise_error: raise a `RuntimeError` instead of ending `fit` quietly.

    On an accelerator it waits for the device once a batch. While it is there, `jit_compile` has no effect: a compiled
    step includes the optimizer's. A `train_step` of your own that does not call `self.trainer.backward_and_step` is
    stopped after its step, by the loss in the logs.
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._cause: str | None = None
        self._epoch = 0
        self._asks = 0  # since the last batch hook: several where steps are executed together
        self._several = True
        # those of a step of LBFGS are about the same batch, to the beginning of which it goes back
        self._closure = isinstance(self.model.optimizer, torch.optim.LBFGS)
        self._buffers = _Buffers(list(self.model.buffers()))
        self._remove_guard = self.model.trainer.register_guard(self._allow)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._remove_guard()
        del self._buffers, self._remove_guard

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._several = self._asks != 1
        self._asks = 0
        self._buffers.keep()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        before = self._asks > 0
        if not before:
            loss = (logs or {}).get("loss")
            if loss is None or math.isfinite(loss):
                return
            self._cause = f"loss ({float(loss)})"
        if self._cause is None:
            return
        self.model.stop_training = True
        where, cause, self._cause = f"epoch {self._epoch + 1}, batch {batch + 1}", self._cause, None
        kept = "before its step; the weights are those of the batch before" if before else "after its step"
        if self.raise_error:
            raise RuntimeError(f"NaN or Inf {cause} in {where}: terminating training {kept}.")
        print_message(f"{where.capitalize()}: invalid {cause}, terminating training {kept}.")

    def _allow(self, loss: Tensor) -> bool:
        """Whether the step may be made; after the backward pass."""
        self._asks += 1
        if self._cause is not None:
            return False
        held = optimizer_parameters(self.model.optimizer)
        if all_finite(loss, gradients(held)):
            if self._several and not self._closure:
                self._buffers.keep()
            return True
        self._cause = self._find(loss, held)
        self._buffers.put_back()
        self.model.stop_training = True  # now: with steps_per_execution the batch hooks come later
        return False

    def _find(self, loss: Tensor, held: list[Tensor]) -> str:
        if not is_finite(loss):
            return f"loss ({loss.item()})"
        names = {id(weight): name for name, weight in self.model.named_parameters()}
        wrong = next(weight for weight in held if not all(map(is_finite, gradients([weight]))))
        return f"gradient of {names.get(id(wrong), 'a parameter of the loss')!r}"


class _Buffers:
    """Buffers as they were; a table that no step writes to is copied once.

    torch counts the writes to a tensor, but those of batch normalisation to its statistics, which are vectors, it does
    not count: vectors are copied each time.
    """

    def __init__(self, buffers: list[Tensor]) -> None:
        self._pairs = [(buffer, buffer.detach().clone()) for buffer in buffers]
        self._vectors = [pair for pair in self._pairs if pair[0].ndim < 2]
        self._tables = [pair for pair in self._pairs if pair[0].ndim >= 2]
        self._counted = self._counts()

    def _counts(self) -> list[int]:
        return [write_count(table) for table, _ in self._tables]

    def _written(self) -> list[tuple[Tensor, Tensor]]:
        """What may be other than it was, beside how it was."""
        counts = self._counts()
        if counts == self._counted:
            return self._vectors
        pairs = zip(self._tables, counts, self._counted, strict=True)
        return [*self._vectors, *(pair for pair, now, before in pairs if now != before)]

    def keep(self) -> None:
        self._copy([(kept, buffer) for buffer, kept in self._written()])

    def put_back(self) -> None:
        self._copy(self._written())

    def _copy(self, pairs: list[tuple[Tensor, Tensor]]) -> None:
        """The second of each pair to the first."""
        if pairs:
            with torch.no_grad():
                foreach_copy_([to for to, _ in pairs], [source for _, source in pairs])
            self._counted = self._counts()
