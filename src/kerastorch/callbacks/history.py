"""History: the logs of all epochs of a fit."""

from __future__ import annotations

import os
from typing import Any

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.log_values import as_float, as_logged, monitored_value
from kerastorch.callbacks.monitor import check_mode, monitor_sign
from kerastorch.core.errors import unknown
from kerastorch.core.optional_dependency import require_package


class History(Callback):
    """The logs of all epochs of a fit, which `fit` returns, with methods to inspect them.

    Attributes:
        history: Dict from the name of a log to the list of its values, one for each epoch that logged it. Names are
            sorted; those of the validation are `val_...`. Arrays, lists and other values that callbacks put into the
            logs are stored as copies.
        epoch: Numbers of the epochs, from 0.
        params: `{"epochs", "steps", "verbose"}` of the fit.
        model: Model that was trained.
    """

    state_attributes = ("history", "epoch", "_at")

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []
        self._at: dict[str, list[int]] = {}  # epochs of each value: with validation_freq some epochs have none

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.history, self.epoch, self._at = {}, [], {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        self.epoch.append(epoch)
        for name in sorted(logs):
            self.history.setdefault(name, []).append(as_logged(logs[name]))
            self._at.setdefault(name, []).append(epoch)

    def best(self, monitor: str = "val_loss", mode: str = "min") -> tuple[int, float]:
        """Return the epoch, from 0, with the best value of a log, and the value; NaN is never the best.

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
        return epoch, sign * value

    def frame(self) -> Any:
        """Return the logs as a pandas DataFrame, one row for each epoch (needs pandas)."""
        require_package("History.frame", "pandas")
        import pandas as pd

        columns = {n: pd.Series(v, index=self._at[n]) for n, v in self.history.items()}
        return pd.DataFrame(columns, index=pd.Index(self.epoch, name="epoch"))

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Plot each log over the epochs, training and validation together (needs matplotlib).

        Logs that are not one number an epoch, such as arrays that a callback logged, are left out.

        Args:
            path: File to save the plot to; its suffix chooses the format. Default `None`: nothing is saved.

        Returns:
            The matplotlib `Figure`, which a notebook displays.

        Raises:
            ImportError: Matplotlib is not installed.
            ValueError: There is no epoch yet.
        """
        require_package("History.plot", "matplotlib")
        from matplotlib.ticker import MaxNLocator

        from kerastorch.callbacks.notebook_figure import Figure

        curves = {name: values for name, values in self.history.items() if None not in map(as_float, values)}
        names = list(dict.fromkeys(name.removeprefix("val_") for name in curves))
        names.sort(key=lambda name: (name != "loss", name))
        if not names:
            raise ValueError("There is no epoch to plot yet.")
        figure = Figure(figsize=(5 * len(names), 3.6), layout="constrained")
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            for curve, label in ((name, "training"), (f"val_{name}", "validation")):
                if curve in curves:
                    epochs = [epoch + 1 for epoch in self._at[curve]]
                    axes.plot(epochs, curves[curve], marker="." if len(epochs) < 30 else None, label=label)
            axes.set(title=name, xlabel="epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(alpha=0.3)
            axes.legend()
        if path is not None:
            figure.savefig(path, dpi=120)
        return figure

    def _values(self, name: str) -> list[Any]:
        """Return the values of a log; raise a ValueError if the name is unknown."""
        if name not in self.history:
            raise unknown("curve", name, self.history)
        return self.history[name]

    def __repr__(self) -> str:
        return f"History({len(self.epoch)} epochs: {', '.join(self.history) or 'nothing yet'})"
