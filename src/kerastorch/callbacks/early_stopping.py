"""EarlyStopping: end training when a quantity no longer gets better."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.monitor import check_mode, is_improvement, monitor_sign, never_logged, read_monitor
from kerastorch.core.console import print_message
from kerastorch.core.errors import check_float, check_int


class EarlyStopping(Callback):
    """Stops when `monitor` has not improved for `patience` epochs.

    Args:
        monitor: a name of the logs.
        min_delta: a smaller change is no improvement, >= 0.
        patience: how many epochs in a row may bring none.
        verbose: 1 says when it stops and what it restores.
        mode: `'min'`, `'max'`, or `'auto'`: told from the name.
        baseline: the value to beat; without it improvement is over the best epoch so far.
        restore_best_weights: when training ends, however it ends, put back the parameters and buffers of the
            best epoch.
        start_from_epoch: epochs before this one are not looked at.

    A NaN is never the best: it counts as no improvement, with a warning.
    """

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
        self.monitor: str = monitor
        self.min_delta = abs(check_float("min_delta", min_delta))
        self.patience = check_int("patience", patience, 0)
        self.verbose = verbose
        self.mode = check_mode(mode)
        self.baseline = None if baseline is None else check_float("baseline", baseline)
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = check_int("start_from_epoch", start_from_epoch, 0)
        self._reset()

    def _reset(self) -> None:
        self._seen = False
        self.wait = 0
        self.stopped_epoch = 0
        self.best: float | None = None
        self.best_epoch = 0
        self.best_weights: dict[str, Any] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()
        self._sign = monitor_sign(self.monitor, self.mode, self.model)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        if epoch < self.start_from_epoch:
            return
        current = read_monitor("EarlyStopping", self.monitor, epoch, logs)
        if current is None:
            return
        self._seen = True
        self.wait += 1
        if is_improvement(current, self.best, self._sign, self.min_delta):
            self.best = current
            self.best_epoch = epoch
            if self.restore_best_weights:
                self._keep(epoch)
            if is_improvement(current, self.baseline, self._sign, self.min_delta):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if logs and not self._seen and self.model.history.epoch[-1] >= self.start_from_epoch:
            never_logged("EarlyStopping", self.monitor, logs)
        if self.verbose and self.stopped_epoch:
            print_message(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                print_message(f"Restoring the weights of the best epoch: {self.best_epoch + 1}.")
            self.model.load_state_dict(self.best_weights)

    def _keep(self, epoch: int) -> None:
        self.best_epoch = epoch
        # in main memory: a GPU keeps its own free
        self.best_weights = {
            name: value.detach().to("cpu", copy=True) if isinstance(value, Tensor) else copy.deepcopy(value)
            for name, value in self.model.state_dict().items()
        }
