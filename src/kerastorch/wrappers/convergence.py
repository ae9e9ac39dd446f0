"""The end of a fit with `epochs="auto"`: when the loss no longer falls."""

from __future__ import annotations

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.log_values import as_float

MAX_EPOCHS = 200
MAX_EPOCHS_OF_ONE_BATCH = 500  # an epoch is one step then
PATIENCE = 10  # epochs in a row without enough progress of the training loss
VALIDATION_PATIENCE = 10  # epochs in a row without a lower validation loss
LEAST_PROGRESS = 1e-2  # of the loss of the first epoch


class StopAtPlateau(Callback):
    """A callback that stops training when the training loss has stopped falling, or has become NaN.

    An epoch makes progress if its loss is below the lowest one by a hundredth of the loss of the first epoch.
    """

    every_rank = True

    state_attributes = ("_first", "_lowest", "_waited")

    def __init__(self) -> None:
        self._first: float | None = None
        self._lowest, self._waited = float("inf"), 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._first, self._lowest, self._waited = None, float("inf"), 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        loss = as_float((logs or {}).get("loss", float("nan")))
        loss = float("nan") if loss is None else loss
        first = self._first = loss if self._first is None else self._first
        if loss < self._lowest - LEAST_PROGRESS * abs(first):
            self._lowest, self._waited = loss, 0
            return
        self._waited += 1
        if self._waited >= PATIENCE or loss != loss:
            self.model.stop_training = True
