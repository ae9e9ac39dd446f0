"""Training the models of all folds, together or one after the other: the only place that knows both ways."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kerastorch.callbacks.base import Callback, Logs
from kerastorch.callbacks.history import History
from kerastorch.core.rng_state import capture_rng_states, restore_rng_states
from kerastorch.model_selection.fold_arguments import FoldArguments
from kerastorch.model_selection.fold_models import FoldBuilder, FoldModel
from kerastorch.model_selection.rows import Rows, take_rows
from kerastorch.utils import set_random_seed


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
    """

    prepared: PreparedFold
    history: History
    seconds: float


class HeldOutCurves(Callback):
    """Evaluates the held-out rows after each epoch; no other callback sees the values.

    Args:
        x: Inputs.
        y: Targets.
        arguments: Further arguments of `evaluate`.

    Attributes:
        values: Name of a log -> its value after each epoch.
    """

    def __init__(self, x: Any, y: Any, arguments: dict[str, Any]) -> None:
        self._data, self._arguments = (x, y), arguments
        self.values: dict[str, list[float]] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.values = {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        found = self.model.evaluate(*self._data, verbose=0, return_dict=True, **self._arguments)
        for name, value in found.items():
            self.values.setdefault(name, []).append(value)


def train_folds(
    build: FoldBuilder,
    tasks: Sequence[FoldTask],
    x: Any,
    y: Any,
    arguments: FoldArguments,
    *,
    curves: bool,
    verbose: int,
) -> Iterator[TrainedFold]:
    """Build and train the model of each fold, and yield them one by one.

    Args:
        build: Builds the models.
        tasks: The folds.
        x: Inputs of all rows.
        y: Targets of all rows.
        arguments: Arguments of `fit`.
        curves: Whether the held-out rows are evaluated after each epoch.
        verbose: `verbose` of `fit`.
    """
    for task in tasks:
        prepared = _prepare(build, task, x, y, arguments, curves)
        restore_rng_states(prepared.rng_states)
        callbacks = [*prepared.arguments.get("callbacks", ()), *([prepared.curves] if prepared.curves else ())]
        start = time.perf_counter()
        history = prepared.built.model.fit(
            prepared.x, prepared.y, verbose=verbose, **{**prepared.arguments, "callbacks": callbacks}
        )
        yield TrainedFold(prepared, history, time.perf_counter() - start)


def _prepare(
    build: FoldBuilder, task: FoldTask, x: Any, y: Any, arguments: FoldArguments, curves: bool
) -> PreparedFold:
    """Build the model of a fold from copies of its training rows, which `build_fn` may change."""
    set_random_seed(task.seed)
    built = build(take_rows(x, task.train), take_rows(y, task.train))
    states = capture_rng_states()
    held_out = built.inputs(take_rows(x, task.test)), take_rows(y, task.test)
    callback = HeldOutCurves(*held_out, arguments.for_evaluation(task.test)) if curves else None
    return PreparedFold(
        task,
        built,
        built.inputs(take_rows(x, task.train)),
        take_rows(y, task.train),
        held_out,
        arguments.of_fold(task.number, task.train),
        callback,
        states,
    )
