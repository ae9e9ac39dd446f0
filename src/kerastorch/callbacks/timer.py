"""Timer: log the time of each epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.epoch_meter import Stopwatch


class Timer(Callback):
    """A callback that logs `seconds`, the time of each epoch with its validation.

    A resumed training adds to the times of its checkpoint. Times are the only logs that differ between a resumed and
    an uninterrupted training; no other log depends on them. Of several processes, rank 0 measures; the others get the
    log, and their attributes stay 0.

    Attributes:
        epochs: List of the seconds of each epoch.
        steps_per_second: List of the batches per second of each epoch, without its validation.
        total: Seconds since the beginning of training; when training has ended, its duration.

    >>> timer = Timer()
    >>> timer.epochs, timer.total
    ([], 0.0)
    """

    logs_added = ("seconds",)

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        """Set all times to 0."""
        self.epochs: list[float] = []
        self.steps_per_second: list[float] = []
        self._training, self._epoch = Stopwatch(), Stopwatch()
        self._batches: float | None = None  # seconds of the training batches of this epoch, when they have ended
        self._total = 0.0
        self._steps = 0

    @property
    def total(self) -> float:
        """Seconds since the beginning of training; when training has ended, its duration."""
        running = self._training.elapsed
        return self._total if running is None else running

    def state_dict(self) -> dict[str, Any]:
        within = self._epoch.elapsed if self._steps else None
        return {
            "total": self.total,
            "epochs": list(self.epochs),
            "steps_per_second": list(self.steps_per_second),
            "within": within or 0.0,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epochs, self.steps_per_second = list(state["epochs"]), list(state["steps_per_second"])
        self._training.start(state["total"])
        self._epoch.start(state["within"])

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()
        self._training.start()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch.start()
        self._batches, self._steps = None, 0

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._steps = batch + 1

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._batches = self._epoch.elapsed

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        seconds = self._epoch.stop() or 0.0
        self.epochs.append(seconds)
        self.steps_per_second.append(self._steps / max(seconds if self._batches is None else self._batches, 1e-9))
        self._steps = 0  # the next epoch has no batch yet
        if logs is not None:
            logs["seconds"] = seconds

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._total = self._training.stop() or 0.0
