"""ReduceLROnPlateau: a smaller learning rate when a quantity no longer gets better."""

from __future__ import annotations

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.learning_rate import get_rate, set_rate
from kerastorch.callbacks.monitor import check_mode, is_improvement, monitor_sign, never_logged, read_monitor
from kerastorch.core.console import print_message
from kerastorch.core.errors import check_float, check_int


class ReduceLROnPlateau(Callback):
    """Multiplies the learning rate by `factor` when `monitor` has not improved for `patience` epochs.

    Args:
        monitor: a name of the logs.
        factor: what the rate is multiplied by, in [0, 1).
        patience: how many epochs in a row may bring no improvement.
        verbose: 1 says when it reduces.
        mode: `'min'`, `'max'`, or `'auto'`: told from the name.
        min_delta: a smaller change is no improvement.
        cooldown: how many epochs after a reduction are not counted.
        min_lr: the rate does not go below it.

    The logs get `learning_rate`, the rate of the epoch that ended. NaN is no improvement, with a warning. All groups of
    the optimizer have one rate; for others there is `LRScheduler`.
    """

    state_attributes = ("_seen", "best", "wait", "cooldown_counter")
    logs_added = ("learning_rate",)

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        self.monitor: str = monitor
        self.factor = check_float("factor", factor, least=0, below=1)
        self.patience = check_int("patience", patience, 0)
        self.verbose = verbose
        self.mode = check_mode(mode)
        self.min_delta = abs(check_float("min_delta", min_delta))
        self.cooldown = check_int("cooldown", cooldown, 0)
        self.min_lr = check_float("min_lr", min_lr, least=0)
        self._reset()

    def _reset(self) -> None:
        self._seen = False
        self.best: float | None = None
        self.wait = 0
        self.cooldown_counter = 0

    def in_cooldown(self) -> bool:
        """Whether epochs are not counted now."""
        return self.cooldown_counter > 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()
        self._sign = monitor_sign(self.monitor, self.mode, self.model)
        get_rate("ReduceLROnPlateau", self.model.optimizer)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = {} if logs is None else logs
        logs["learning_rate"] = get_rate("ReduceLROnPlateau", self.model.optimizer)
        current = read_monitor("ReduceLROnPlateau", self.monitor, epoch, logs)
        if current is None:
            return
        self._seen = True
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if is_improvement(current, self.best, self._sign, self.min_delta):
            self.best = current
            self.wait = 0
            return
        if self.in_cooldown():
            return
        self.wait += 1
        if self.wait >= self.patience:
            self._reduce(epoch)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if logs and not self._seen:
            never_logged("ReduceLROnPlateau", self.monitor, logs)

    def _reduce(self, epoch: int) -> None:
        now = get_rate("ReduceLROnPlateau", self.model.optimizer)
        if now <= self.min_lr:
            return
        rate = max(now * self.factor, self.min_lr)
        set_rate(self.model.optimizer, rate)
        if self.verbose > 0:
            print_message(f"Epoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {rate:.6g}.")
        self.cooldown_counter = self.cooldown
        self.wait = 0
