"""History: the logs of all epochs of a fit, or of all fits of a model."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from kerastorch.callbacks import history_file
from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.epoch_meter import EpochMeter, EpochProgress, resources_or_unknown, unknown_resources
from kerastorch.callbacks.history_plot import plot_curves
from kerastorch.callbacks.log_values import as_logged
from kerastorch.callbacks.logged_epochs import FitRecorder, LoggedEpochs
from kerastorch.callbacks.monitor import metric_directions
from kerastorch.diagnosis.diagnose import diagnose
from kerastorch.diagnosis.diagnosis import Diagnosis
from kerastorch.diagnosis.settings import FitSettings

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class History(LoggedEpochs, Callback):
    """The logs of all epochs of a fit, which `fit` returns, with methods to inspect them.

    `model.history` is a `History` too: that of all fits of the model. Its epochs are counted on over the fits, and
    `fits` has those of each. An epoch keeps its number if `initial_epoch` is greater than the number of epochs so far.

    Epochs are counted from 1 by `best`, `frame` and `plot`, as in the lines that `fit` prints; `epoch` has Keras'
    numbers, from 0.

    A copy or a pickle of a history is that of its logs, without the model. Two histories are equal only if they are
    the same object, as other callbacks; compare `history.history`.

    Attributes:
        history: Dict from the name of a log to the list of its values, one for each epoch that logged it. Names are
            sorted; those of the validation are `val_...`. Arrays, lists and other values that callbacks put into the
            logs are stored as copies.
        epoch: Numbers of the epochs, from 0.
        resources: Dict of lists with one value for each epoch, `None` if it is unknown. `epoch_seconds`: time with
            validation and callbacks. `samples_per_second`: rows trained on, divided by the seconds of the training
            batches; unknown for generators. `peak_memory`: bytes, the most so far, of tensors on the model's CUDA
            devices, or else of the whole process; unknown on Windows. The learning rate is a log.
        metric_directions: The metrics of the model, each with whether larger is better.
        params: `{"epochs", "steps", "verbose"}` of the fit.
        settings: Optimizer, learning rate, batch size and other settings of the fit, which `diagnose` reads; in the
            history of a model, those of the last fit.
        model: Model that was trained; `None` in a history that was loaded or copied.
    """

    every_rank = True
    state_attributes = ("history", "epoch", "_at")
    _recorder: FitRecorder | None = None

    def _reset(self) -> None:
        super()._reset()
        self._meter = EpochMeter()

    def record_settings(self, settings: FitSettings) -> None:
        """Store the settings of the fit; `fit` calls it."""
        self.settings = settings

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if self is getattr(self.model, "history", None):
            raise ValueError("callbacks has model.history, which records each fit without being passed: leave it out.")
        self._reset()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._meter.begin()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.metric_directions = metric_directions(self.model)
        measured = self._meter.end(None if self._recorder is None else self._recorder.progress, self.model)
        self._add(epoch, {name: as_logged(value) for name, value in (logs or {}).items()}, measured)
        if self._recorder is not None:
            self._recorder.add_last_epoch(self)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "resources": self.resources, "elapsed": self._meter.elapsed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.resources = resources_or_unknown(state.get("resources"), len(self.epoch))
        if state.get("elapsed") is not None:  # training resumes within an epoch
            self._meter.begin(state["elapsed"])
        if self._recorder is not None:
            self._recorder.add_all_epochs(self)

    @contextmanager
    def recorded_in(self, whole: History, progress: EpochProgress | None = None) -> Iterator[None]:
        """Add the epochs of a fit to the history of all fits of a model too, while a block runs.

        Args:
            whole: History of all fits.
            progress: Rows of the last epoch, and when its batches ended. Default `None`: unknown.
        """
        whole.model, whole.params = self.model, self.params
        self._recorder = recorder = FitRecorder(whole, progress)
        is_completed = False
        try:
            yield
            is_completed = True
        finally:
            recorder.close(is_completed=is_completed)
            del self._recorder

    def diagnose(self, x: Any = None, y: Any = None, validation_data: Any = None) -> Diagnosis:
        """Say in plain words what the curves show: what went wrong, since which epoch, and what to try.

        The curves and the settings of the fit are enough for most causes: overfitting, underfitting, a learning rate
        that is too high or too low, a plateau, noise, exploding weights, a validation that is better than the training,
        rows in a bad order. Wrong labels and copied rows are found only if the data are given.

        Args:
            x: Inputs as `fit` got them, or data that yield batches. Default `None`: the data are not looked at.
            y: Targets.
            validation_data: Validation data as `fit` got them. Default: the rows that `validation_split` has taken
                from `x`.

        Returns:
            The diagnosis; `print` shows its text, and `findings` has the causes with their evidence and remedies.

        Raises:
            ValueError: The numbers of rows or columns do not fit each other.
            TypeError: Something is no data.

        >>> history = History()
        >>> for epoch in range(20):
        ...     history.on_epoch_end(epoch, {"loss": 0.8**epoch, "val_loss": 0.4 + 0.01 * abs(epoch - 7)})
        >>> history.diagnose().causes
        ('overfitting',)
        """
        return diagnose(self.curves(), self.settings, x, y, validation_data)

    def plot(self, path: str | os.PathLike[str] | None = None, *, diagnose: bool = False) -> Figure:
        """Plot each log over the epochs, counted from 1, training and validation in one panel (needs matplotlib).

        A circle marks the best epoch of the validation, if it is known whether a larger value is better. Dotted lines
        separate the fits in the history of a model. Logs that are not one number an epoch, such as arrays that a
        callback logged, are left out, and so are learning rates that stay the same.

        Args:
            path: File to save the plot to; its suffix chooses the format. Default `None`: nothing is saved.
            diagnose: Whether to shade the epochs since which a fault is seen, and to write the findings of `diagnose`
                below. Default `False`.

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
        starts = [epochs.start + 1 for epochs in self.fits[1:]]
        mark = self.diagnose().draw if diagnose else None
        return plot_curves(self.curves(), self._best_if_known, path, starts, mark)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the history to a JSON file, which `History.load` reads.

        NaN and infinity, arrays and tensors are restored, too. The file is written completely or not at all.

        Args:
            path: Path of the file, which ends in `.json`; its folder is created.

        Raises:
            TypeError: A log holds an object that is no number, text, array, tensor, list, tuple or dict.
            ValueError: The path does not end in `.json`.
            OSError: The file cannot be written.

        >>> import os, tempfile
        >>> history = History()
        >>> history.on_epoch_end(0, {"loss": 0.5, "val_loss": float("nan")})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     history.save(os.path.join(folder, "run.json"))
        ...     History.load(os.path.join(folder, "run.json")).history
        {'loss': [0.5], 'val_loss': [nan]}
        """
        epoch = self._epochs()
        known = len(epoch) == len(self.epoch)
        state = {
            "epoch": epoch,
            "history": {name: list(values) for name, values in self.history.items()},
            "epochs_of_logs": {n: at for n, at in ((n, self._epochs_of(n)) for n in self.history) if at != epoch},
            "fits": self._starts or [0] * bool(epoch),
            "resources": self.resources if known else unknown_resources(len(epoch)),
            "params": dict(self.params),
            "metric_directions": self.metric_directions,
            "settings": self.settings.to_dict(),
        }
        history_file.write(path, state)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Return the history in a file that `save` has written; its `model` is `None`.

        Args:
            path: Path of the file.

        Raises:
            FileNotFoundError: There is no such file.
            CheckpointError: The file is damaged, is none of a history, or was written by a later release.
        """
        state = history_file.read(path)
        found = cls()
        found.history, found.epoch, found._starts = state["history"], state["epoch"], state["fits"]
        found._at = {name: state["epochs_of_logs"].get(name, list(found.epoch)) for name in found.history}
        found.resources = resources_or_unknown(state["resources"], len(found.epoch))
        found.params, found.metric_directions = state["params"], state["metric_directions"]
        found.settings = state["settings"]
        return found

    def _best_if_known(self, name: str) -> tuple[int, float] | None:
        """Return the best epoch and value of a log, or `None` if all are NaN or it is unknown which is better."""
        try:
            return self.best(name, "auto")
        except ValueError:
            return None

    def __getstate__(self) -> dict[str, Any]:
        # without the model, whose weights would make the copies of a history large
        return {key: value for key, value in vars(self).items() if key not in ("model", "_recorder", "_meter")}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state, _meter=EpochMeter())
