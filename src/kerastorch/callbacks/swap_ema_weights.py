"""SwapEMAWeights: evaluate the model with the moving average of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.core.torch_optimizer_private import step_post_hooks
from kerastorch.optimizers.step_hooks import Average, optimizer_parameters


class SwapEMAWeights(Callback):
    """A callback that replaces the weights by their moving average during `evaluate`, `predict` and validation.

    The optimizer must have `use_ema=True`. The trained weights are restored afterwards, also after an error. When
    `fit` ends, the average becomes the weights, with or without this callback. While the average is in place, the
    trained weights take the same amount of memory again.

    Args:
        swap_on_epoch: Also keep the average in place from the end of each epoch to the beginning of the next, so that
            callbacks after this one, such as `ModelCheckpoint`, use it. Default `False`.

    Raises:
        ValueError: When training or evaluation begins, if the optimizer has no moving average.
    """

    every_rank = True

    def __init__(self, swap_on_epoch: bool = False) -> None:
        self.swap_on_epoch = swap_on_epoch
        self._trained: list[Tensor | None] | None = None  # trained weights while the average is in place

    def state_dict(self) -> dict[str, Any]:
        return {"trained": self._trained}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._trained = state["trained"]
        self._restore_weights()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._trained = None
        self._check_average()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._restore_weights()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._swap_weights()

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._swap_for_this_pass()

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._swap_for_this_pass()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.model.trainer.state.is_completed:
            self._trained = None  # the average has become the weights
        self._restore_weights()

    def _swap_for_this_pass(self) -> None:
        """Put the average in place until the running `evaluate`, `predict` or validation ends."""
        if self._trained is None:
            self._check_average()
            self.model.trainer.pass_exit_stack.callback(self._restore_weights)
            self._swap_weights()

    def _check_average(self) -> None:
        """Raise a ValueError if the optimizer has no moving average of the weights."""
        optimizers = list(self.model.optimizers.values())
        if not (any(one.state for one in optimizers) or self.model.trainer.state.is_fitting):
            raise ValueError("SwapEMAWeights: there is no average yet, nothing was trained.")
        hooks = [hook for one in optimizers for hook in step_post_hooks(one).values()]
        if not any(type(hook) is Average for hook in hooks):
            names = " and ".join(type(one).__name__ for one in optimizers)
            raise ValueError(
                f"SwapEMAWeights: {names} keeps no moving average. Pass use_ema=True: "
                f"compile(kerastorch.optimizers.Adam(use_ema=True), ...)."
            )

    @torch.no_grad()
    def _swap_weights(self) -> None:
        """Copy the trained weights and put their average in place, unless it is there."""
        if self._trained is not None:
            return
        optimizers = self.model.optimizers.values()
        pairs = [
            (weight, one.state.get(weight, {}).get("ema")) for one in optimizers for weight in optimizer_parameters(one)
        ]
        self._trained = [None if average is None else weight.detach().clone() for weight, average in pairs]
        for weight, average in pairs:
            if average is not None:
                weight.copy_(average)

    @torch.no_grad()
    def _restore_weights(self) -> None:
        """Restore the trained weights if the average is in place."""
        if self._trained is None:
            return
        weights = [weight for one in self.model.optimizers.values() for weight in optimizer_parameters(one)]
        for weight, trained in zip(weights, self._trained, strict=True):
            if trained is not None:
                weight.copy_(trained)
        self._trained = None
