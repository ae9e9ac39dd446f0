"""Timer: how long epochs take."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from kerastorch.callbacks.base import Callback, Logs


class Timer(Callback):
    """Logs `seconds`, the time of each epoch with its validation, for the history and the callbacks after it.

    Attributes:
        epochs: seconds of each epoch.
        steps_per_second: batches a second of each epoch, without its validation.
        total: seconds of all, from the beginning of training.

    A training that is resumed counts on from its checkpoint. Times are the one thing that is not the same in a
    training that was interrupted and one that was not: what else is logged does not depend on them.

    >>> from kerastorch.callbacks import Timer
    >>> timer = Timer()
    >>> timer.epochs, timer.total
    ([], 0.0)
    """

    logs_added = ("seconds",)

    def __init__(self) -> None:
        self._reset()
        self._running = False

    def _reset(self) -> None:
        self.epochs: list[float] = []
        self.steps_per_second: list[float] = []
        self._before = 0.0  # of parts of this training that were interrupted
        self._began = self._epoch_began = time.perf_counter()
        self._trained: float | None = None  # when the batches of this epoch were over
        self._total = 0.0
        self._steps = 0

    @property
    def total(self) -> float:
        """Seconds so far; when training is over, of the training."""
        return self._before + time.perf_counter() - self._began if self._running else self._total

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
        self._before, self._began = state["total"], time.perf_counter()
        self._epoch_began = self._began - state["within"]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()
        self._running = True

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch_began, self._trained, self._steps = time.perf_counter(), None, 0

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._steps = batch + 1

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if self._running:
            self._trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        now = time.perf_counter()
        self.epochs.append(now - self._epoch_began)
        self.steps_per_second.append(self._steps / max((self._trained or now) - self._epoch_began, 1e-9))
        self._steps = 0  # nothing of the next epoch has been done
        if logs is not None:
            logs["seconds"] = self.epochs[-1]

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._total, self._running = self.total, False
