"""LoggedEpochs: the logs and resources of epochs, of one fit or of several, and what can be read from them."""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from kerastorch.callbacks.epoch_meter import EpochProgress, unknown_resources
from kerastorch.callbacks.history_plot import Curve, numeric_curves
from kerastorch.callbacks.log_values import monitored_value
from kerastorch.callbacks.monitor import check_mode, monitor_sign
from kerastorch.core.errors import suggest, unknown
from kerastorch.core.optional_dependency import require_package
from kerastorch.diagnosis.settings import UNKNOWN, FitSettings

_DICT_ADVICE = "The dict of all logs is history.history, and history['loss'] has the values of one log."


class LoggedEpochs:
    """The epochs of a `History`.

    Attributes:
        history: Dict from the name of a log to the list of its values.
        epoch: Numbers of the epochs, from 0.
        resources: Dict from the names in `RESOURCES` to lists with one value for each epoch, `None` if unknown.
        metric_directions: Metrics, each with whether larger is better.
        settings: Settings of the last fit.
    """

    settings: FitSettings = UNKNOWN

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        """Forget all epochs."""
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []
        self.metric_directions: dict[str, bool] = {}
        self.resources: dict[str, list[Any]] = unknown_resources(0)
        self._at: dict[str, list[int]] = {}  # epochs of each value: with validation_freq some epochs have none
        self._starts: list[int] = []  # indices into `epoch` of the first epoch of each fit
        self._interrupted: int | None = None  # index of the first epoch of the last fit, if that was interrupted

    @property
    def fits(self) -> list[range]:
        """The numbers of the epochs of each fit, from 0; a fit that ended within its first epoch has none."""
        epoch = self._epochs()
        if not epoch:
            return []
        bounds = [*(self._starts or [0]), len(epoch)]
        return [range(epoch[start], epoch[end - 1] + 1) for start, end in itertools.pairwise(bounds)]

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
        sign = -monitor_sign(monitor, check_mode(mode), self)
        pairs = [(sign * value, epoch) for value, epoch in zip(values, self._epochs_of(monitor), strict=True)]
        pairs = [pair for pair in pairs if pair[0] == pair[0]]  # without NaN
        if not pairs:
            raise ValueError(f"{monitor} was NaN in every epoch.")
        value, epoch = min(pairs)
        return epoch + 1, sign * value

    def frame(self, *, resources: bool = False) -> Any:
        """Return the logs as a pandas DataFrame, one row for each epoch, counted from 1 (needs pandas).

        Args:
            resources: Whether columns for `resources` follow those of the logs. Default `False`.
        """
        require_package("History.frame", "pandas")
        import pandas as pd

        index = pd.Index([epoch + 1 for epoch in self._epochs()], name="epoch")
        columns = {n: pd.Series(v, index=[epoch + 1 for epoch in self._epochs_of(n)]) for n, v in self.history.items()}
        if resources:
            rows = [epoch + 1 for epoch in self.epoch]
            for name, values in self.resources.items():
                free = f"measured_{name}" if name in columns else name
                columns[free] = pd.Series(values, index=rows, dtype=float)
        return pd.DataFrame(columns, index=index)

    def curves(self) -> dict[str, Curve]:
        """Return the logs that are one number an epoch; learning rates that stay the same are left out."""
        return numeric_curves({name: (self._epochs_of(name), values) for name, values in self.history.items()})

    def _values(self, name: str) -> list[Any]:
        """Return the values of a log; raise a ValueError if the name is unknown."""
        if not self.history:
            raise ValueError(f"there is no curve {name!r}: the history has no epoch yet.")
        if name not in self.history and name.startswith("val_") and name.removeprefix("val_") in self.history:
            raise ValueError(
                f"there is no curve {name!r}: the fit had no validation. Pass validation_data or validation_split to "
                f"fit(), or choose one of {', '.join(self.history)}."
            )
        if name not in self.history:
            raise unknown("curve", name, self.history)
        return self.history[name]

    def _epochs(self) -> list[int]:
        """Return the numbers of all epochs, from 0, also of values that were added to `history` by hand."""
        most = max((self._epochs_of(name) for name in self.history), key=len, default=[])
        return self.epoch if len(self.epoch) >= len(most) else most

    def _epochs_of(self, name: str) -> list[int]:
        """Return the numbers of the epochs of the values of a log, from 0.

        Raises:
            ValueError: Values were added to `history` or taken away by hand, so that their epochs are unknown.
        """
        number, epoch, at = len(self.history[name]), self.epoch, self._at.get(name)
        if at is not None and len(at) == number:
            return at
        if number >= len(epoch) and (at is None or at == epoch):  # counted on
            first = epoch[-1] + 1 if epoch else 0
            return [*epoch, *range(first, first + number - len(epoch))]
        raise ValueError(
            f"history[{name!r}] has {number} values and the history has {len(epoch)} epochs: it is unknown which of "
            "them the values belong to."
        )

    def _add(self, epoch: int, values: Mapping[str, Any], measured: Mapping[str, Any]) -> None:
        """Add an epoch.

        Args:
            epoch: Its number.
            values: Its logs.
            measured: Its resources.
        """
        self.epoch.append(epoch)
        for name in sorted(values):
            self.history.setdefault(name, []).append(values[name])
            self._at.setdefault(name, []).append(epoch)
        for name, value in measured.items():
            self.resources[name].append(value)

    def _drop_epochs(self, start: int) -> None:
        """Remove the epochs from index `start` on, which is the first of a fit."""
        first = self.epoch[start]
        for name, epochs in self._at.items():
            place = bisect_left(epochs, first)
            del epochs[place:], self.history[name][place:]
        for values in self.resources.values():
            del values[start:]
        del self.epoch[start:], self._starts[bisect_left(self._starts, start) :]

    def _epoch_at(self, index: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the logs and the resources of an epoch.

        Args:
            index: Its index in `epoch`.
        """
        epoch = self.epoch[index]
        values = {}
        for name, epochs in self._at.items():
            place = bisect_left(epochs, epoch)
            if epochs[place : place + 1] == [epoch]:
                values[name] = self.history[name][place]
        return values, {name: found[index] for name, found in self.resources.items()}

    def __repr__(self) -> str:
        fits = f" in {len(self._starts)} fits" if len(self._starts) > 1 else ""
        return f"History({len(self.epoch)} epochs{fits}: {', '.join(self.history) or 'nothing yet'})"


class FitRecorder:
    """Adds the epochs of one fit to the history of all fits of a model.

    Args:
        whole: History of all fits.
        progress: Rows of the last epoch of the fit, and when its batches ended; `None` if unknown.
    """

    def __init__(self, whole: LoggedEpochs, progress: EpochProgress | None) -> None:
        self._whole, self.progress = whole, progress
        self._start: int | None = None  # index of the first epoch of this fit in the whole
        self._shift = 0  # number of an epoch in the whole, minus that in this fit

    def add_last_epoch(self, fit: LoggedEpochs) -> None:
        """Add the last epoch of the fit."""
        self._add(fit, len(fit.epoch) - 1)

    def add_all_epochs(self, fit: LoggedEpochs) -> None:
        """Add all epochs of a fit that resumes; those that it recorded before it was interrupted are replaced."""
        start = self._whole._interrupted
        if start is not None and _is_same_fit(self._whole, start, fit):
            self._whole._drop_epochs(start)
        for index in range(len(fit.epoch)):
            self._add(fit, index)

    def close(self, *, is_completed: bool) -> None:
        """End the fit.

        Args:
            is_completed: Whether no error or interrupt has ended it.
        """
        self._whole._interrupted = None if is_completed else self._start

    def _add(self, fit: LoggedEpochs, index: int) -> None:
        whole, epoch = self._whole, fit.epoch[index]
        if self._start is None:
            next_epoch = whole.epoch[-1] + 1 if whole.epoch else 0
            self._start, self._shift = len(whole.epoch), max(0, next_epoch - epoch)
            whole._starts.append(self._start)
        whole.metric_directions |= fit.metric_directions
        whole.settings = fit.settings
        whole._add(epoch + self._shift, *fit._epoch_at(index))


def _is_same_fit(whole: LoggedEpochs, start: int, fit: LoggedEpochs) -> bool:
    """Return whether the logs of `whole` from index `start` on have the same numbers as those of a fit."""
    for index in range(min(len(whole.epoch) - start, len(fit.epoch))):
        here, there = whole._epoch_at(start + index)[0], fit._epoch_at(index)[0]
        if here.keys() != there.keys() or not all(_is_same(here[name], there[name]) for name in here):
            return False
    return True


def _is_same(first: Any, second: Any) -> bool:
    """Return whether two values are the same number; other values count as the same."""
    if not isinstance(first, float) or not isinstance(second, float):
        return True
    return first == second or (first != first and second != second)
