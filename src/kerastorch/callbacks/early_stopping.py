"""EarlyStopping: end training when a monitored log no longer improves."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor

from kerastorch.callbacks.base import Logs
from kerastorch.callbacks.monitor import PatienceCallback
from kerastorch.core.console import print_message
from kerastorch.core.errors import check_float, check_int


class EarlyStopping(PatienceCallback):
    """A callback that stops training when `monitor` has not improved for `patience` epochs.

    NaN is never the best value. It counts as an epoch without improvement, with a warning.

    Args:
        monitor: Name of the log to monitor.
        min_delta: Smallest change that counts as an improvement, >= 0. Default 0.
        patience: Number of epochs in a row without improvement after which training stops. Default 0.
        verbose: 1 prints when training stops and which weights are restored. Default 0.
        mode: `'min'` if smaller is better, `'max'` if larger is better, `'auto'` (default) to infer it from the
            metric or name.
        baseline: Value that must be beaten, too, for an improvement to count. Default `None`: the best epoch so far
            is enough.
        restore_best_weights: Restore the parameters and buffers of the best epoch when training ends, also after an
            error or interrupt. Default `False`.
        start_from_epoch: Number of the first epoch that is monitored, from 0. Default 0.

    Attributes:
        best: Best value so far; `None` before the first value.
        best_epoch: Number of the epoch of the best value, from 0.
        best_weights: `state_dict` of the best epoch in main memory, with `restore_best_weights=True`.
        wait: Number of epochs in a row since `best` last improved and beat `baseline`.
        stopped_epoch: Number of the epoch after which training was stopped, from 0; 0 if it was not.

    Raises:
        ValueError: An argument is out of range; or, when `fit` begins, `mode='auto'` and the direction is unknown.

    >>> EarlyStopping("loss", patience=3)
    EarlyStopping(monitor='loss', patience=3)
    """

    every_rank = True
    state_attributes = ("_seen", "wait", "stopped_epoch", "best", "best_epoch", "best_weights")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = check_int("patience", patience, 0)
        self.verbose = verbose
        self.baseline = None if baseline is None else check_float("baseline", baseline)
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = check_int("start_from_epoch", start_from_epoch, 0)

    def _reset(self) -> None:
        super()._reset()
        self.stopped_epoch = 0
        self.best_epoch = 0
        self.best_weights: dict[str, Any] | None = None
        self._last_epoch = -1

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()
        self._find_sign()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._last_epoch = epoch
        if epoch < self.start_from_epoch:
            return
        value = self._read(epoch, logs or {})
        if value is None:
            return
        if self._update(value, self.baseline):
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = self._copy_weights()
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if logs and self._last_epoch >= self.start_from_epoch:
            self._warn_if_never_logged(logs)
        if self.verbose and self.stopped_epoch:
            print_message(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                print_message(f"Restoring the weights of the best epoch: {self.best_epoch + 1}.")
            self.model.load_state_dict(self.best_weights)

    def _copy_weights(self) -> dict[str, Any]:
        """Return a copy of the model's `state_dict` in main memory, so that it takes no memory of a GPU."""
        return {
            name: value.detach().to("cpu", copy=True) if isinstance(value, Tensor) else copy.deepcopy(value)
            for name, value in self.model.state_dict().items()
        }
