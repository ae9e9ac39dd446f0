"""AveragingCallback: base of the callbacks that train some weights and evaluate and save their average."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.weight_replacement import Replacement
from kerastorch.core.torch_optimizer_private import step_post_hooks
from kerastorch.optimizers.step_hooks import Average, TorchOptimizer


class AveragingCallback(Callback):
    """Base of the callbacks that average weights.

    The average is in place during `evaluate` and `predict` within `fit`, from the end of each epoch to the beginning of
    the next one, and when `fit` has ended normally. After an error or Ctrl-C the trained weights are in place.

    A subclass has `_begin`, which returns what replaces the weights, and may have `_update`.
    """

    every_rank = True
    replaces_weights = True

    def __init__(self) -> None:
        self._replacements: list[Replacement] = []  # empty outside `fit`
        self._at_end: list[Callable[[], None]] = []

    def _begin(self) -> list[Replacement]:
        """Return the replacements of a new fit."""
        raise NotImplementedError

    def _update(self, epoch: int) -> None:
        """Update the average after the last batch of an epoch, counted from 0; called once or more for an epoch."""

    def state_dict(self) -> dict[str, Any]:
        return {"replacements": [one.state_dict() for one in self._replacements]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for one, saved in zip(self._replacements, state["replacements"], strict=True):
            one.load_state_dict(saved)
            one.restore()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._release()
        trainer = self.model.trainer
        for optimizer in trainer.optimizer_step.optimizers:
            self._check_optimizer(optimizer)
        self._at_end.append(trainer.weight_averaging.register(self._in_place))
        self._replacements = self._begin()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._restore()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._update(epoch)
        self._put_in_place()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.model.trainer.state.is_completed:
            self._put_in_place()
            for one in self._replacements:
                one.keep()
        self._restore()
        self._release()

    def _put_in_place(self) -> None:
        for one in self._replacements:
            one.put_in_place()

    def _restore(self) -> None:
        for one in self._replacements:
            one.restore()

    def _release(self) -> None:
        """Free the averages, and remove what was registered for the fit."""
        self._replacements = []
        while self._at_end:
            self._at_end.pop()()

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        """Put the average in place while `evaluate` or `predict` runs."""
        state = self.model.trainer.state
        if any(one.is_in_place for one in self._replacements):
            yield
            return
        if state.epochs_done > state.pass_number:  # all batches of the running epoch were trained on
            self._update(state.epoch)
        self._put_in_place()
        try:
            yield
        finally:
            self._restore()

    def _check_optimizer(self, optimizer: TorchOptimizer) -> None:
        """Raise a ValueError if an optimizer averages the weights itself."""
        who, name = type(self).__name__, type(optimizer).__name__
        if any(type(hook) is Average for hook in step_post_hooks(optimizer).values()):
            raise ValueError(f"{who}: the {name} has use_ema=True and averages the weights, too. Use one of both.")
        if all(callable(getattr(optimizer, verb, None)) for verb in ("train", "eval")):
            raise ValueError(f"{who}: {name} is schedule-free, which averages the weights already. Leave {who} out.")
