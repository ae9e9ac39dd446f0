"""TimeBudget: stop training when its time is over, for `fit(max_time=)`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.core.console import print_message
from kerastorch.core.duration import format_duration


class TimeBudget(Callback):
    """A callback that stops training after the batch in which its time is over.

    It sets `model.stop_training`, so that the validation and the callbacks of that epoch still run. A resumed training
    counts the time of all its runs, but not the time between them. Of several processes, the clock of rank 0 decides.

    Args:
        seconds: Duration of training.

    >>> TimeBudget(5400.0).seconds
    5400.0
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._used = 0.0  # seconds of the runs before this one
        self._began = time.monotonic()
        self._epoch = 0

    @property
    def used(self) -> float:
        """Return the seconds of training, those of earlier runs of a resumed training included."""
        return self._used + time.monotonic() - self._began

    def state_dict(self) -> dict[str, Any]:
        return {"used": self.used}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._used, self._began = state["used"], time.monotonic()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._used, self._began = 0.0, time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._stop_if_over(f"after batch {batch + 1} of epoch {self._epoch + 1}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._stop_if_over(f"after epoch {epoch + 1}")

    def _stop_if_over(self, where: str) -> None:
        """Stop training, with a printed sentence, if the time is over."""
        if self.model.stop_training or self.used < self.seconds:
            return
        self.model.stop_training = True
        if self.params.get("verbose"):
            print_message(f"max_time={format_duration(self.seconds)} is over: training stops {where}.")
