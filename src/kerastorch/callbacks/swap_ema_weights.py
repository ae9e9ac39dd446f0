"""SwapEMAWeights: the moving average of the weights takes their place while the model is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.core.torch_private import step_post_hooks
from kerastorch.optimizers.base import Average, optimizer_parameters


class SwapEMAWeights(Callback):
    """While `evaluate` and `predict` run, and the validation of `fit`, the weights are their moving average.

    It goes with `use_ema=True` of the optimizer. Afterwards the trained weights are there again, whichever way that
    ends. When `fit` ends, the average becomes the weights, with this callback or without.

    Args:
        swap_on_epoch: the average is there from the end of an epoch to the beginning of the next, too, for callbacks
            after this one in the list, such as `ModelCheckpoint`.

    While the average is there, the trained weights take as much memory again.

    Raises:
        ValueError: when training or evaluation begins, if the optimizer keeps no average.
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        self.swap_on_epoch = swap_on_epoch
        self._trained: list[Tensor | None] | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"trained": self._trained}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._trained = state["trained"]
        self._put_back()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._trained = None
        self._check()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._put_back()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._swap()

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._for_this_pass()

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._for_this_pass()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.model.trainer.state.is_completed:
            self._trained = None  # the average has become the weights
        self._put_back()

    def _for_this_pass(self) -> None:
        if self._trained is None:
            self._check()
            self.model.trainer.pass_exit_stack.callback(self._put_back)
            self._swap()

    def _check(self) -> None:
        optimizer = self.model.optimizer
        if optimizer is None or not (optimizer.state or self.model.trainer.state.is_fitting):
            raise ValueError("SwapEMAWeights: there is no average yet, nothing was trained.")
        hooks = step_post_hooks(optimizer).values()
        if not any(isinstance(hook, Average) for hook in hooks):
            raise ValueError(
                f"SwapEMAWeights: {type(optimizer).__name__} keeps no moving average. Pass use_ema=True: "
                f"compile(kerastorch.optimizers.Adam(use_ema=True), ...)."
            )

    @torch.no_grad()
    def _swap(self) -> None:
        if self._trained is not None:
            return
        optimizer = self.model.optimizer
        held = optimizer_parameters(optimizer)
        averages = [optimizer.state.get(weight, {}).get("ema") for weight in held]
        pairs = list(zip(held, averages, strict=True))
        self._trained = [None if average is None else weight.detach().clone() for weight, average in pairs]
        for weight, average in pairs:
            if average is not None:
                weight.copy_(average)

    @torch.no_grad()
    def _put_back(self) -> None:
        if self._trained is None:
            return
        for weight, trained in zip(optimizer_parameters(self.model.optimizer), self._trained, strict=True):
            if trained is not None:
                weight.copy_(trained)
        self._trained = None
