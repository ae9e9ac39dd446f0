"""Timer: log the time of each epoch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from kerastorch.callbacks.base import Callback, Logs


class Timer(Callback):
    """A callback that logs `seconds`, the time of each epoch with its validation.

    A resumed training adds to the times of its checkpoint. Times are the only logs that differ between a resumed and
    an uninterrupted training; no other log depends on them.

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
        self._is_running = False

    def _reset(self) -> None:
        """Set all times to 0."""
        self.epochs: list[float] = []
        self.steps_per_second: list[float] = []
        self._before_resume = 0.0  # seconds of the parts of this training that were interrupted
        self._began = self._epoch_began = time.perf_counter()
        self._batches_ended: float | None = None  # when the last training batch of this epoch ended
        self._total = 0.0
        self._steps = 0

    @property
    def total(self) -> float:
        """Seconds since the beginning of training; when training has ended, its duration."""
        return self._before_resume + time.perf_counter() - self._began if self._is_running else self._total

    def state_dict(self) -> dict[str, Any]:
        within = time.perf_counter() - self._epoch_began if self._steps else 0.0
        return {
            "total": self.total,
            "epochs": list(self.epochs),
            "steps_per_second": list(self.steps_per_second),
            "within": within,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epochs, self.steps_per_second = list(state["epochs"]), list(state["steps_per_second"])
        self._before_resume, self._began = state["total"], time.perf_counter()
        self._epoch_began = self._began - state["within"]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()
        self._is_running = True

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch_began, self._batches_ended, self._steps = time.perf_counter(), None, 0

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._steps = batch + 1

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if self._is_running:
            self._batches_ended = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        now = time.perf_counter()
        self.epochs.append(now - self._epoch_began)
        self.steps_per_second.append(self._steps / max((self._batches_ended or now) - self._epoch_began, 1e-9))
        self._steps = 0  # the next epoch has no batch yet
        if logs is not None:
            logs["seconds"] = self.epochs[-1]

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._total, self._is_running = self.total, False
