"""Training the models of all folds, together or one after the other: the only place that knows both ways."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.history import History
from kerastorch.core.nested import leaves
from kerastorch.core.rng_state import capture_rng_states, restore_rng_states
from kerastorch.model import Model
from kerastorch.model_selection.fold_arguments import FoldArguments
from kerastorch.model_selection.fold_models import FoldBuilder, FoldModel
from kerastorch.model_selection.rows import Rows, count_rows, is_dataset, rows_of_all, take_rows
from kerastorch.training_together.errors import CannotTrainTogether
from kerastorch.training_together.train_together import FitTask, train_together
from kerastorch.utils import set_random_seed

MAX_BYTES = 2**28  # data of all folds that are trained together
MAX_MODELS = 64  # folds that are trained together


@dataclass(frozen=True, eq=False)
class FoldTask:
    """What a fold trains on, and what it holds out.

    Attributes:
        number: Number of the fold, from 1.
        seed: Seed of Python, NumPy and torch before `build_fn` is called.
        train: Numbers of the training rows.
        test: Numbers of the held-out rows.
    """

    number: int
    seed: int
    train: Rows
    test: Rows

    def training(self) -> AbstractContextManager[None]:
        """Return a context in which errors name training rows by their numbers in all data."""
        return rows_of_all(self.train, f"the training rows of fold {self.number}")

    def holding_out(self) -> AbstractContextManager[None]:
        """Return a context in which errors name held-out rows by their numbers in all data."""
        return rows_of_all(self.test, f"the held-out rows of fold {self.number}")


@dataclass(frozen=True, eq=False)
class PreparedFold:
    """A fold whose model is built.

    Attributes:
        task: Its rows and its seed.
        built: The model and what transforms its inputs.
        x: Transformed training inputs.
        y: Training targets.
        held_out: Transformed inputs and targets of the held-out rows.
        arguments: Further arguments of `fit`.
        curves: Callback that evaluates the held-out rows after each epoch, or `None`.
        rng_states: Random states after `build_fn`.
    """

    task: FoldTask
    built: FoldModel
    x: Any
    y: Any
    held_out: tuple[Any, Any]
    arguments: dict[str, Any]
    curves: HeldOutCurves | None
    rng_states: dict[str, Any]


@dataclass(frozen=True, eq=False)
class TrainedFold:
    """A fold whose model is trained.

    Attributes:
        prepared: The fold.
        history: Logs of its training.
        seconds: Duration of its training; of folds that were trained together, its share.
        alone_because: Why it was not trained together with other folds to the end; `None` if it was.
    """

    prepared: PreparedFold
    history: History
    seconds: float
    alone_because: str | None


class HeldOutCurves(Callback):
    """Evaluates the held-out rows after each epoch; no other callback sees the values.

    Args:
        task: The fold.
        x: Inputs.
        y: Targets.
        arguments: Further arguments of `evaluate`.

    Attributes:
        values: Name of a log -> its value after each epoch.
    """

    every_rank = True

    state_attributes = ("values",)

    def __init__(self, task: FoldTask, x: Any, y: Any, arguments: dict[str, Any]) -> None:
        self._task, self._data, self._arguments = task, (x, y), arguments
        self.values: dict[str, list[float]] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.values = {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        with self._task.holding_out():
            found = self.model.evaluate(*self._data, verbose=0, return_dict=True, **self._arguments)
        for name, value in found.items():
            self.values.setdefault(name, []).append(value)


class FoldTrainer:
    """Builds and trains the models of folds: small ones together, others one after the other.

    Args:
        build: Builds the models.
        x: Inputs of all rows.
        y: Targets of all rows.
        arguments: Arguments of `fit`.
        curves: Whether the held-out rows are evaluated after each epoch.
        verbose: `verbose` of `fit`.
        together: Whether models are trained together where that gives the same numbers.
    """

    def __init__(
        self,
        build: FoldBuilder,
        x: Any,
        y: Any,
        arguments: FoldArguments,
        *,
        curves: bool,
        verbose: int,
        together: bool,
    ) -> None:
        self._build, self._data, self._arguments, self._curves = build, (x, y), arguments, curves
        self._verbose, self._together = verbose, together

    def train(self, tasks: Sequence[FoldTask]) -> Iterator[TrainedFold]:
        """Train the model of each fold, and yield them in order.

        Args:
            tasks: The folds.
        """
        left = list(tasks)
        reason = "together=False was given" if not self._together else self._reason(tasks[0])
        while left and reason is None:
            size = max(1, min(MAX_MODELS, MAX_BYTES // max(1, self._bytes_of(left[0]))))
            prepared = [self._prepare(task) for task in left[:size]]
            del left[:size]
            start = time.perf_counter()
            try:
                found = train_together([self._fit_task(one) for one in prepared])
            except CannotTrainTogether as error:
                reason = error.reason
                yield from (self._train_alone(one, reason) for one in prepared)
                break
            seconds = (time.perf_counter() - start) / len(prepared)
            for one, history in zip(prepared, found.histories, strict=True):
                yield TrainedFold(one, history, seconds, found.reason)
        for task in left:
            yield self._train_alone(self._prepare(task), reason)

    def _reason(self, task: FoldTask) -> str | None:
        """Return why folds are not trained together, as far as the data and arguments show it; `None` to try."""
        if self._verbose:
            return "verbose=2 prints the epochs of one fold after those of another"
        if any(is_dataset(leaf) for leaf in self._data):
            return "the data are a dataset, not arrays"
        return "the data of two folds need much memory" if 2 * self._bytes_of(task) > MAX_BYTES else None

    def _bytes_of(self, task: FoldTask) -> int:
        """Return about how many bytes the training rows of a fold have."""
        rows = count_rows(x=self._data[0])
        sizes = [getattr(leaf, "nbytes", 0) for part in self._data for _, leaf in leaves(part)]
        tables = [
            int(part.memory_usage().sum())
            for part in self._data
            if hasattr(part, "memory_usage") and hasattr(part, "columns")
        ]
        return int((sum(sizes) + sum(tables)) * len(task.train) / rows)

    def _prepare(self, task: FoldTask) -> PreparedFold:
        """Build the model of a fold from copies of its training rows, which `build_fn` may change."""
        x, y = self._data
        set_random_seed(task.seed)
        built = self._build(take_rows(x, task.train), take_rows(y, task.train))
        states = capture_rng_states()
        held_out = built.inputs(take_rows(x, task.test)), take_rows(y, task.test)
        curves = HeldOutCurves(task, *held_out, self._arguments.for_evaluation(task.test)) if self._curves else None
        inputs, targets = built.inputs(take_rows(x, task.train)), take_rows(y, task.train)
        arguments = self._arguments.of_fold(task.number, task.train)
        return PreparedFold(task, built, inputs, targets, held_out, arguments, curves, states)

    def _fit_arguments(self, prepared: PreparedFold) -> tuple[Model, dict[str, Any]]:
        """Return the model of a fold, and all arguments of its `fit`."""
        callbacks = [*prepared.arguments.get("callbacks", ()), *([prepared.curves] if prepared.curves else ())]
        data = {"x": prepared.x, "y": prepared.y, "verbose": self._verbose}
        return prepared.built.model, {**prepared.arguments, **data, "callbacks": callbacks}

    def _fit_task(self, prepared: PreparedFold) -> FitTask:
        return FitTask(*self._fit_arguments(prepared), prepared.rng_states, prepared.task.training)

    def _train_alone(self, prepared: PreparedFold, reason: str | None) -> TrainedFold:
        """Train the model of a fold by its own `fit`."""
        restore_rng_states(prepared.rng_states)
        start = time.perf_counter()
        model, arguments = self._fit_arguments(prepared)
        with prepared.task.training():
            history = model.fit(**arguments)
        return TrainedFold(prepared, history, time.perf_counter() - start, reason)
