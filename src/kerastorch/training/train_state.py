"""TrainState: what changes while a model trains."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kerastorch.training.metrics_tracker import MetricsTracker


@dataclass
class TrainState:
    """Progress of a model's training. All else that a `Trainer` holds stays as `setup` left it.

    Attributes:
        epoch: Number of the running epoch, from 0.
        batches_done: Batches of that epoch that were trained on.
        pass_number: Number of the running pass over the data, counted over all fits since `compile`. The order of the
            rows is a function of it.
        epochs_done: `pass_number` of the next epoch, in this fit or a later one: the epochs trained since `compile`, or
            more if a fit began at a later `initial_epoch`.
        completed_fits: Fits that ended without an error or interrupt, those under an earlier `compile` included.
        metrics: Means and metrics of the running epoch.
        logs: Logs of the last whole epoch of this fit.
        epoch_samples: Rows that the last epoch trained on; `None` if unknown.
        batches_ended: When the last training batch of that epoch ended, as `time.perf_counter`.
        last_rates: Learning rate of each parameter group in the last batch, by the name of the optimizer, if a callback
            has changed it since.
        epoch_start: States of the data and of random generators when the running epoch began.
        is_fitting: A `fit` is running.
        is_completed: The running fit has trained its last epoch.
        feature_names: Columns of the DataFrame that was trained on; `None` if it was none.
        input_specs: Shapes and dtypes of the last batch of inputs, in their structure.
        evaluated_names: Names that the last evaluation logged; empty before the first.
        training_rows: Rows of a micro-batch, since memory ran out for a whole batch; `None` if it did not.
        evaluation_rows: The same for evaluation and prediction.
    """

    epoch: int = 0
    batches_done: int = 0
    pass_number: int = 0
    epochs_done: int = 0
    completed_fits: int = 0
    metrics: MetricsTracker = field(default_factory=lambda: MetricsTracker({}))
    logs: dict[str, Any] = field(default_factory=dict)
    epoch_samples: int | None = None
    batches_ended: float = 0.0
    last_rates: dict[str, tuple[float, ...]] = field(default_factory=dict)
    epoch_start: Mapping[str, Any] = field(default_factory=dict)
    is_fitting: bool = False
    is_completed: bool = False
    feature_names: list[Any] | None = None
    input_specs: Any = None
    evaluated_names: tuple[str, ...] = ()
    training_rows: int | None = None
    evaluation_rows: int | None = None

    @contextmanager
    def fitting(self, first_epoch: int) -> Iterator[None]:
        """Mark a fit as running, from its first epoch on; afterwards no data is referenced.

        Args:
            first_epoch: Number of the first epoch of this fit.
        """
        self.epoch, self.batches_done = first_epoch, 0
        self.pass_number = max(self.epochs_done, first_epoch)
        self.logs, self.is_completed, self.is_fitting = {}, False, True
        try:
            yield
        finally:
            self.is_fitting, self.epoch_start, self.metrics = False, {}, MetricsTracker({})

    @contextmanager
    def preserved(self) -> Iterator[None]:
        """Put the progress back at the end of the block; the shapes of the inputs are still recorded."""
        before = dict(vars(self))
        try:
            yield
        finally:
            specs = self.input_specs
            vars(self).update(before)
            self.record_inputs(before["input_specs"] or specs)

    def record_features(self, names: list[Any] | None) -> None:
        """Store the columns of the DataFrame that is trained on."""
        self.feature_names = names

    def record_inputs(self, specs: Any) -> None:
        """Store the shapes and dtypes of the last batch of inputs."""
        self.input_specs = specs

    def record_evaluation(self, names: Iterable[str]) -> None:
        """Store the names that an evaluation logged."""
        self.evaluated_names = tuple(names)

    def record_rates(self, name: str, rates: Iterable[float]) -> None:
        """Store the learning rates of the last batch, before a callback changes them for the next one.

        Args:
            name: Name of the optimizer; `''` for the only one.
            rates: Rate of each of its parameter groups.
        """
        self.last_rates[name] = tuple(rates)

    def limit_training_rows(self, rows: int) -> None:
        """Store how many rows fit into memory in training."""
        self.training_rows = rows

    def limit_evaluation_rows(self, rows: int) -> None:
        """Store how many rows fit into memory in evaluation and prediction."""
        self.evaluation_rows = rows

    def restore_epochs(self, number: int) -> None:
        """Set the number of trained epochs, of a loaded model."""
        self.epochs_done = number

    def begin_epoch(self, start: Mapping[str, Any]) -> None:
        """Store the states of data and random generators at the start of an epoch."""
        self.batches_done, self.epoch_start, self.last_rates = 0, start, {}

    def begin_metrics(self, metrics: MetricsTracker) -> None:
        """Store the means and metrics of an epoch, empty at its start."""
        self.metrics = metrics

    def count_batches(self, done: int) -> None:
        """Store the number of batches of the running epoch that were trained on."""
        self.batches_done = done

    def resume(
        self, epoch: int, batches_done: int, pass_number: int, logs: Mapping[str, Any], start: Mapping[str, Any]
    ) -> None:
        """Take over the progress of a saved fit.

        Args:
            epoch: Number of the epoch to resume.
            batches_done: Batches of it that were trained on.
            pass_number: Number of its pass over the data.
            logs: Logs of the last whole epoch.
            start: States of data and random generators when the epoch began.
        """
        self.epoch, self.batches_done, self.logs, self.epoch_start = epoch, batches_done, dict(logs), start
        self.epochs_done = self.pass_number = pass_number

    def end_batches(self, samples: int | None) -> None:
        """Count the epoch, all batches of which were trained on, for the order of rows in the next fit.

        Args:
            samples: Rows of these batches; `None` if unknown.
        """
        self.epochs_done = self.pass_number + 1
        self.epoch_samples, self.batches_ended = samples, time.perf_counter()

    def end_epoch(self, logs: dict[str, Any]) -> None:
        """Move on to the next epoch, after the validation of this one.

        Args:
            logs: Means and metrics of the epoch, validation included.
        """
        self.pass_number += 1
        self.epoch, self.batches_done, self.logs = self.epoch + 1, 0, logs

    def complete(self) -> None:
        """Mark the fit as trained to its end; `on_train_end` is called afterwards."""
        self.is_completed = True

    def count_fit(self) -> None:
        """Count a fit that ended without an error or interrupt."""
        self.completed_fits += 1
