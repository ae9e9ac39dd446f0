"""ExperimentLogger, the base of the callbacks that log a training as a run of an experiment tracker."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.global_step import GlobalStep, UpdateFreq
from kerastorch.callbacks.log_values import as_float
from kerastorch.core.errors import mismatch
from kerastorch.core.optional_dependency import require_package


class ExperimentLogger(Callback, ABC):
    """Base of the callbacks that log the parameters and metrics of a training as a run of an experiment tracker.

    If a run is active when the first batch begins, it is used and left open. If not, a run is started, and finished
    with the outcome of the training. A subclass adapts the calls of one package: `_active_run`, `_start_run`,
    `_run_id`, `_add_parameters`, `_log_metrics` and `_finish_run`.

    Args:
        package: Import name of the package.
        names: Arguments that must be a non-empty text or `None`, by name.
        update_freq: `'epoch'`: metrics are logged after each epoch. `'batch'` or an integer n: metrics over the epoch
            so far are logged after each or every nth batch, too, with the prefix `batch_`.
        install: Name of the package for pip, if it differs from `package`.

    Attributes:
        run_id: Identifier of the run; `None` before the first batch.

    Raises:
        ImportError: The package is not installed.
        ValueError: A name is something else, or `update_freq` is not one of these.
    """

    first_process_only = True

    def __init__(
        self, package: str, names: Mapping[str, Any], update_freq: UpdateFreq, install: str | None = None
    ) -> None:
        require_package(type(self).__name__, package, install)
        for name, value in names.items():
            if value is not None and (not isinstance(value, str) or not value):
                raise mismatch(name, value, "a name or None")
        self.update_freq = update_freq
        self._step = GlobalStep(update_freq)
        self._reset()

    def _reset(self) -> None:
        """Forget the run, as before the first batch."""
        self.run_id: str | None = None
        self._run: Any = None  # while it is open
        self._owns_run = True  # whether this callback has started it
        self._outer_error: BaseException | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"run_id": self.run_id, "steps": self._step.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.run_id = state["run_id"]
        self._step.load_state_dict(state["steps"])

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()
        self._step.reset()
        self._outer_error = sys.exception()  # handled by an `except` around `fit`, so it is not an error of training

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        if self._run is None:  # not in `on_train_begin`, as a resumed training restores `run_id` after that
            self._open_run()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._step.is_due(batch):
            self._log_metrics(numeric_logs(logs, "batch_"), "batch", self._step.value)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._log_metrics(numeric_logs(logs), "epoch", epoch)
        self._step.end_epoch()

    def on_train_end(self, logs: Logs | None = None) -> None:
        run, self._run = self._run, None
        if run is not None and self._owns_run:
            error = sys.exception()
            self._finish_run(run, None if error is self._outer_error else error)

    def _open_run(self) -> None:
        """Use the active run or start one, and log the parameters."""
        parameters = self._parameters()
        run = self._active_run()
        self._owns_run = run is None
        self._run = self._start_run(parameters) if run is None else run
        self.run_id = self._run_id(self._run)
        self._add_parameters(parameters)

    def _parameters(self) -> dict[str, Any]:
        """Return the parameters to log: number of epochs, steps of each, optimizer and learning rate, if it has one."""
        found = {name: self.params.get(name) for name in ("epochs", "steps")}
        for name, optimizer in self.model.optimizers.items():
            prefix = f"{name}_" if name else ""
            rate = optimizer.param_groups[0].get("lr")
            found |= {f"{prefix}optimizer": type(optimizer).__name__, f"{prefix}learning_rate": rate}
        return {name: _to_python(value) for name, value in found.items() if value is not None}

    @abstractmethod
    def _active_run(self) -> Any:
        """Return the run that is active in this process, `None` if there is none."""

    @abstractmethod
    def _start_run(self, parameters: Mapping[str, Any]) -> Any:
        """Start a run, or continue the run `run_id` if that is set, and return it."""

    @abstractmethod
    def _run_id(self, run: Any) -> str:
        """Return the identifier of a run."""

    @abstractmethod
    def _add_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Log those parameters that the run does not have yet."""

    @abstractmethod
    def _log_metrics(self, metrics: Mapping[str, float], axis: Literal["epoch", "batch"], step: int) -> None:
        """Log metrics of an epoch, counted from 0, or of a batch, counted from 1 over all epochs."""

    @abstractmethod
    def _finish_run(self, run: Any, error: BaseException | None) -> None:
        """Finish a run that this callback has started.

        Args:
            run: Run that `_start_run` returned.
            error: Error that ended training; `None` if it was completed.
        """


def numeric_logs(logs: Mapping[str, Any] | None, prefix: str = "") -> dict[str, float]:
    """Return the logs that are numbers, with `prefix` before their names.

    >>> numeric_logs({"loss": 0.5, "note": "text"}, "batch_")
    {'batch_loss': 0.5}
    """
    found = {f"{prefix}{name}": as_float(value) for name, value in (logs or {}).items()}
    return {name: value for name, value in found.items() if value is not None}


def _to_python(value: Any) -> Any:
    """Return the Python number of a tensor or array of one element, such as a learning rate, else the value."""
    return value.item() if hasattr(value, "item") else value
