"""TerminateOnNaN: stop training before a step on a loss or gradient that is NaN or infinite."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.core.console import print_message
from kerastorch.core.distributed_tensors import is_distributed_tensor
from kerastorch.core.finite_check import all_finite, gradients, is_finite
from kerastorch.core.torch_private import foreach_copy_, write_count
from kerastorch.optimizers.step_hooks import optimizer_parameters


class TerminateOnNaN(Callback):
    """A callback that stops training before the optimizer's step if the loss or any gradient is NaN or infinite.

    Parameters, buffers such as the running statistics of batch normalization, and the optimizer's state are then as
    they were after the batch before. The message names epoch and batch, counted from 1. The step is repeated once
    under observation, so that the message also names the first tensor that is not finite: the output of a layer, the
    loss, a gradient, or a weight or input that was not finite before.

    On an accelerator the check waits for the device once a batch. `jit_compile` has no effect with this callback, as
    a compiled step includes the optimizer's. A user-defined `train_step` that does not call
    `self.trainer.backward_and_step` is stopped after its step, by the loss in the logs. Gradients that are infinite
    because a loss in float16 was scaled too much are no reason to stop: such a step is left out anyway.

    Args:
        raise_error: Raise a `RuntimeError` instead of printing the message. Default `False`.

    Raises:
        RuntimeError: With `raise_error=True`, if the loss or a gradient is NaN or infinite.
    """

    every_rank = True
    copies_weights = False  # before each step of a user-defined `train_step`
    _remove_guard: Callable[[], None] | None = None  # while a fit runs

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._cause: str | None = None
        self._epoch = 0
        self._n_checks = 0  # since the last batch began; more than 1 if several batches are executed together
        self._several_checks = True
        self._is_repeating = False  # the step under observation is not checked
        # an optimizer with a closure calls it several times on one batch and may return to the first weights
        self._uses_closure = self.model.trainer.optimizer_step.needs_closure
        self._buffers = _BufferCopies(list(self.model.buffers()))
        self._remove_guard = self.model.trainer.optimizer_step.listeners.register_guard(self._allow_step)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._remove_guard is None:
            return  # another callback's on_train_begin failed before that of this one
        self._remove_guard()
        self.model.trainer.record_step(None)
        del self._buffers, self._remove_guard

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._several_checks = self._n_checks != 1
        self._n_checks = 0
        self._buffers.update()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        before_step = self._n_checks > 0
        if not before_step:
            loss = (logs or {}).get("loss")
            if loss is None or math.isfinite(loss):
                return
            self._cause = f"loss ({float(loss)})"
            before_step = self._undo_step()
        if self._cause is None:
            return
        self.model.stop_training = True
        where, cause, self._cause = f"epoch {self._epoch + 1}, batch {batch + 1}", self._cause, None
        when = "before its step; the weights are those of the batch before" if before_step else "after its step"
        details = self._repeat_step(batch, before_step)
        if self.raise_error:
            raise RuntimeError(f"NaN or Inf {cause} in {where}: terminating training {when}.{details}")
        print_message(f"{where.capitalize()}: invalid {cause}, terminating training {when}.{details}")

    def _undo_step(self) -> bool:
        """Return whether the weights could be restored after the step of a user-defined `train_step`."""
        return False

    def _repeat_step(self, batch: int, before_step: bool) -> str:
        """Repeat the failed step under observation; return its finding, as further lines of the message.

        Args:
            batch: Number of the batch, from 0.
            before_step: Whether the weights are those from before the step.
        """
        recorded = self.model.trainer.recorded_step
        if recorded is None or recorded.batch is None:
            return ""
        if any(map(is_distributed_tensor, self.model.parameters())):
            return ""  # processes that find NaN at different places would wait for each other
        if not before_step:
            return "\nfit(nan_report='folder') also goes back to the weights before such a step, and repeats it."
        self._is_repeating = True
        try:
            report = recorded.repeat(self._epoch, batch)
        except Exception as error:  # the message about NaN matters more
            return f"\nThe step could not be repeated: {type(error).__name__}: {error}"
        finally:
            self._is_repeating = False
        return f"\n{report.message}{self._save(report)}"

    def _save(self, report: Any) -> str:
        """Save what repeats the step in another process; return a further line of the message."""
        return ""

    def _allow_step(self, loss: Tensor) -> bool:
        """Return whether loss and gradients are finite; called after the backward pass, before the step."""
        if self._is_repeating:
            return True
        self._n_checks += 1
        if self._cause is not None:
            return False
        step = self.model.trainer.optimizer_step
        parameters = [weight for one in step.optimizers for weight in optimizer_parameters(one)]
        # gradients that a loss scale has made infinite are left out by the scaler, which then lowers the scale
        if all_finite(loss, [] if step.skips_nonfinite else gradients(parameters)):
            if self._several_checks and not self._uses_closure:
                self._buffers.update()
            return True
        self._cause = self._describe_cause(loss, parameters)
        self._buffers.restore()
        self.model.stop_training = True  # now, as the batch hooks come later with steps_per_execution
        return False

    def _describe_cause(self, loss: Tensor, parameters: list[Tensor]) -> str:
        """Return which of the loss and the gradients is not finite, in words."""
        if not is_finite(loss):
            return f"loss ({loss.item()})"
        names = {id(weight): name for name, weight in self.model.named_parameters()}
        wrong = next((weight for weight in parameters if not all(map(is_finite, gradients([weight])))), None)
        if wrong is None:
            return "loss or gradient in another process"
        return f"gradient of {names.get(id(wrong), 'a parameter of the loss')!r}"


class _BufferCopies:
    """Copies of the buffers of a model, updated only where a buffer may have changed.

    torch counts the writes to a tensor, except those of batch normalization to its running statistics. These are
    vectors, so vectors are always copied, and tensors of two or more dimensions only if their count has changed.

    Args:
        buffers: Buffers of the model.
    """

    def __init__(self, buffers: list[Tensor]) -> None:
        pairs = [(buffer, buffer.detach().clone()) for buffer in buffers]  # each buffer with its copy
        self._vectors = [pair for pair in pairs if pair[0].ndim < 2]
        self._others = [pair for pair in pairs if pair[0].ndim >= 2]
        self._last_versions = self._versions()

    def _versions(self) -> list[int]:
        """Return the numbers of writes to the buffers of two or more dimensions."""
        return [write_count(buffer) for buffer, _ in self._others]

    def _changed(self) -> list[tuple[Tensor, Tensor]]:
        """Return the buffers that may have changed since the last copy, with their copies."""
        versions = self._versions()
        if versions == self._last_versions:
            return self._vectors
        triples = zip(self._others, versions, self._last_versions, strict=True)
        return [*self._vectors, *(pair for pair, now, before in triples if now != before)]

    def update(self) -> None:
        """Copy the buffers as they are."""
        self._copy([(copied, buffer) for buffer, copied in self._changed()])

    def restore(self) -> None:
        """Write the copies back into the buffers."""
        pairs = self._changed()
        for buffer, copied in pairs:
            if buffer.shape != copied.shape:  # the buffer has grown since
                buffer.resize_(copied.shape)
        self._copy(pairs)

    def _copy(self, pairs: list[tuple[Tensor, Tensor]]) -> None:
        """Copy the second tensor of each pair into the first."""
        if pairs:
            with torch.no_grad():
                try:
                    foreach_copy_([to for to, _ in pairs], [source for _, source in pairs])
                except RuntimeError:  # a buffer has grown, as those of observers of quantization do
                    for to, source in pairs:
                        to.resize_(source.shape).copy_(source)
            self._last_versions = self._versions()
