"""History: the logs of all epochs of a fit."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NoReturn

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.history_plot import numeric_curves, plot_curves
from kerastorch.callbacks.log_values import as_logged, monitored_value
from kerastorch.callbacks.monitor import check_mode, monitor_sign
from kerastorch.core.errors import suggest, unknown
from kerastorch.core.optional_dependency import require_package
from kerastorch.diagnosis.settings import UNKNOWN, FitSettings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DICT_ADVICE = "The dict of all logs is history.history, and history['loss'] has the values of one log."


class History(Callback):
    """The logs of all epochs of a fit, which `fit` returns, with methods to inspect them.

    Epochs are counted from 1 by `best`, `frame` and `plot`, as in the lines that `fit` prints; `epoch` has Keras'
    numbers, from 0.

    Attributes:
        history: Dict from the name of a log to the list of its values, one for each epoch that logged it. Names are
            sorted; those of the validation are `val_...`. Arrays, lists and other values that callbacks put into the
            logs are stored as copies.
        epoch: Numbers of the epochs, from 0.
        params: `{"epochs", "steps", "verbose"}` of the fit.
        settings: Optimizer, learning rate, batch size and other settings of the fit, which `diagnose` reads.
        model: Model that was trained.
    """

    state_attributes = ("history", "epoch", "_at")

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []
        self._at: dict[str, list[int]] = {}  # epochs of each value: with validation_freq some epochs have none
        self.settings = UNKNOWN

    def record_settings(self, settings: FitSettings) -> None:
        """Store the settings of the fit; `fit` calls it."""
        self.settings = settings

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.history, self.epoch, self._at = {}, [], {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        self.epoch.append(epoch)
        for name in sorted(logs):
            self.history.setdefault(name, []).append(as_logged(logs[name]))
            self._at.setdefault(name, []).append(epoch)

    def __getitem__(self, name: str) -> list[Any]:
        """Return the values of a log, `history["loss"]`, as `history.history["loss"]` does.

        Raises:
            ValueError: There is no log of this name.
            TypeError: The index is no name.
        """
        if not isinstance(name, str):
            raise TypeError(f"a history is indexed by the name of a log, history['loss'], got {name!r}.")
        return self._values(name)

    def __contains__(self, name: object) -> bool:
        """Return whether there is a log of this name."""
        return name in self.history

    def __iter__(self) -> NoReturn:
        raise TypeError(f"a History is no dict. {_DICT_ADVICE}")

    if not TYPE_CHECKING:  # type checkers refuse the names themselves

        def __getattr__(self, name: str) -> NoReturn:
            logs = vars(self).get("history", {})
            if name in ("keys", "values", "items", "get", "pop", "update", "copy"):
                hint = f" {_DICT_ADVICE}"
            elif name in logs:
                hint = f" The values of this log are history[{name!r}]."
            else:
                hint = "" if name.startswith("_") else suggest(name, logs)
            raise AttributeError(f"a History has no attribute {name!r}.{hint}")

    def best(self, monitor: str = "val_loss", mode: str = "min") -> tuple[int, float]:
        """Return the epoch, counted from 1, with the best value of a log, and the value; NaN is never the best.

        Args:
            monitor: Name in `history`. Default `"val_loss"`.
            mode: `'min'` (default) if smaller is better, `'max'` if larger is better, `'auto'` to infer it from the
                metric or name.

        Raises:
            ValueError: The name or `mode` is unknown, or the values are not numbers, or all are NaN; or `mode='auto'`
                and the direction is unknown.
        """
        values = [monitored_value("History.best", monitor, value) for value in self._values(monitor)]
        sign = -monitor_sign(monitor, check_mode(mode), self.model)
        pairs = [(sign * value, epoch) for value, epoch in zip(values, self._at[monitor], strict=True)]
        pairs = [pair for pair in pairs if pair[0] == pair[0]]  # without NaN
        if not pairs:
            raise ValueError(f"{monitor} was NaN in every epoch.")
        value, epoch = min(pairs)
        return epoch + 1, sign * value

    def frame(self) -> Any:
        """Return the logs as a pandas DataFrame, one row for each epoch, counted from 1 (needs pandas)."""
        require_package("History.frame", "pandas")
        import pandas as pd

        columns = {n: pd.Series(v, index=[epoch + 1 for epoch in self._at[n]]) for n, v in self.history.items()}
        return pd.DataFrame(columns, index=pd.Index([epoch + 1 for epoch in self.epoch], name="epoch"))

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Plot each log over the epochs, counted from 1, training and validation in one panel (needs matplotlib).

        A circle marks the best epoch of the validation, if it is known whether a larger value is better. Logs that are
        not one number an epoch, such as arrays that a callback logged, are left out, and so are learning rates that
        stay the same.

        Args:
            path: File to save the plot to; its suffix chooses the format. Default `None`: nothing is saved.

        Returns:
            The matplotlib figure, which `plt.show()` shows in a script, and which a notebook displays.

        Raises:
            ImportError: Matplotlib is not installed.
            ValueError: There is no epoch yet, or the suffix of `path` is unknown.

        >>> import matplotlib.pyplot as plt
        >>> history = History()
        >>> for epoch, loss in enumerate([3.0, 1.0, 2.0]):
        ...     history.on_epoch_end(epoch, {"loss": loss / 2, "val_loss": loss})
        >>> history.best()
        (2, 1.0)
        >>> [axes.get_ylabel() for axes in history.plot().axes]
        ['loss']
        >>> plt.close("all")
        """
        logs = {name: (self._at[name], values) for name, values in self.history.items()}
        return plot_curves(numeric_curves(logs), self._best_if_known, path)

    def _best_if_known(self, name: str) -> tuple[int, float] | None:
        """Return the best epoch and value of a log, or `None` if all are NaN or it is unknown which is better."""
        try:
            return self.best(name, "auto")
        except ValueError:
            return None

    def _values(self, name: str) -> list[Any]:
        """Return the values of a log; raise a ValueError if the name is unknown."""
        if name not in self.history:
            raise unknown("curve", name, self.history)
        return self.history[name]

    def __repr__(self) -> str:
        return f"History({len(self.epoch)} epochs: {', '.join(self.history) or 'nothing yet'})"
