"""ReduceLROnPlateau: reduce the learning rate when a monitored log no longer improves."""

from __future__ import annotations

from kerastorch.callbacks.base import Logs
from kerastorch.callbacks.learning_rate import ModelRates, listed
from kerastorch.callbacks.monitor import PatienceCallback
from kerastorch.core.console import print_message
from kerastorch.core.errors import check_float, check_int


class ReduceLROnPlateau(PatienceCallback):
    """A callback that multiplies the learning rate by `factor` when `monitor` has not improved for `patience` epochs.

    NaN counts as no improvement, with a warning. The rate of each parameter group is multiplied, of each optimizer if
    the model has several.

    Args:
        monitor: Name of the log to monitor.
        factor: Factor in [0, 1) that the rate is multiplied by. Default 0.1.
        patience: Number of epochs in a row without improvement after which the rate is reduced. Default 10.
        verbose: 1 prints each reduction. Default 0.
        mode: `'min'` if smaller is better, `'max'` if larger is better, `'auto'` (default) to infer it from the
            metric or name.
        min_delta: Smallest change that counts as an improvement. Default 1e-4.
        cooldown: Number of epochs after a reduction that do not count. Default 0.
        min_lr: Lower bound of the rate. Default 0.

    Attributes:
        best: Best value so far; `None` before the first value.
        wait: Number of epochs in a row since `best` last improved, without those of a cooldown.
        cooldown_counter: Number of epochs left that do not count.

    Raises:
        ValueError: An argument is out of range; or, when `fit` begins, `mode='auto'` and the direction is unknown,
            or the optimizer has a schedule of its own.

    >>> ReduceLROnPlateau("loss", factor=0.5)
    ReduceLROnPlateau(monitor='loss', factor=0.5)
    """

    every_rank = True
    state_attributes = ("_seen", "best", "wait", "cooldown_counter")

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
        super().__init__(monitor, mode, min_delta)
        self.factor = check_float("factor", factor, least=0, below=1)
        self.patience = check_int("patience", patience, 0)
        self.verbose = verbose
        self.cooldown = check_int("cooldown", cooldown, 0)
        self.min_lr = check_float("min_lr", min_lr, least=0)

    def _reset(self) -> None:
        super()._reset()
        self.cooldown_counter = 0

    def in_cooldown(self) -> bool:
        """Return whether epochs do not count at present."""
        return self.cooldown_counter > 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()
        self._find_sign()
        self._rates = ModelRates("ReduceLROnPlateau", self.model.optimizers)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = {} if logs is None else logs
        self._rates.log(logs)
        value = self._read(epoch, logs)
        if value is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._update(value):
            return
        if self.in_cooldown():
            self.wait = 0
        elif self.wait >= self.patience:
            self._reduce(epoch)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._warn_if_never_logged(logs)

    def _reduce(self, epoch: int) -> None:
        """Reduce the rates, unless all are at their lower bound, and start the cooldown."""
        if max(self._rates.distinct()) <= self.min_lr:
            return
        reduced = self._rates.change(lambda rate: rate if rate <= self.min_lr else max(rate * self.factor, self.min_lr))
        if self.verbose > 0:
            print_message(f"Epoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {listed(reduced)}.")
        self.cooldown_counter = self.cooldown
        self.wait = 0
