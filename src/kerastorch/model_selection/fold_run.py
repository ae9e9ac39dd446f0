"""FoldRun: what cross-validation and curves of scores do with each fold: train, evaluate, predict, report."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kerastorch.core.console import print_message
from kerastorch.core.errors import mismatch
from kerastorch.core.nested import leaves
from kerastorch.core.rng_state import preserved_rng_states
from kerastorch.model import Model
from kerastorch.model_selection.fold_arguments import FoldArguments
from kerastorch.model_selection.fold_models import FoldBuilder
from kerastorch.model_selection.fold_training import FoldTask, FoldTrainer, TrainedFold
from kerastorch.model_selection.held_out_metrics import HeldOutMetric
from kerastorch.model_selection.result import Fold
from kerastorch.model_selection.targets import read_targets

_SHOWN = 4  # scores in the line of a fold


@dataclass(frozen=True, eq=False)
class FoldRun:
    """What is done with each fold.

    Attributes:
        arguments: Arguments of `fit`.
        metrics: Metrics of predictions, by name.
        verbose: 0 prints nothing, 1 a line for each fold, 2 also a line for each epoch.
        curves: Whether the held-out rows are evaluated after each epoch.
        train_scores: Whether the training rows are evaluated after training.
        keeps_models: Whether folds keep their models.
        together: Whether small models are trained together where that gives the same numbers.
        label: What the line of a fold begins with.
    """

    arguments: FoldArguments
    metrics: Mapping[str, HeldOutMetric]
    verbose: int
    curves: bool = False
    train_scores: bool = False
    keeps_models: bool = False
    together: bool = True
    label: str = ""

    def of_value(self, label: str, folder: str) -> FoldRun:
        """Return the same for the folds of one value of several.

        Args:
            label: What the line of a fold begins with.
            folder: Subfolder for files that `fit` writes.
        """
        return replace(self, label=label, arguments=self.arguments.within(folder))

    def delete_checkpoints(self, tasks: Sequence[FoldTask]) -> None:
        """Delete the saved states of folds that have ended.

        Args:
            tasks: The folds.
        """
        for task in tasks:
            self.arguments.delete_checkpoint(task.number)

    def folds(self, build: FoldBuilder, tasks: Sequence[FoldTask], x: Any, y: Any) -> Iterator[Fold]:
        """Train the models of folds, and yield their results.

        Args:
            build: Builds the models.
            tasks: The folds.
            x: Inputs of all rows.
            y: Targets of all rows.
        """
        with preserved_rng_states():
            trainer = FoldTrainer(
                build, x, y, self.arguments,
                curves=self.curves, verbose=2 if self.verbose > 1 else 0, together=self.together,
            )  # fmt: skip
            for one in trainer.train(tasks):
                fold = self._result(one)
                if self.verbose:
                    print_message(f"{self.label}fold {fold.number}/{len(tasks)}: {_in_words(fold)}")
                yield fold

    def _result(self, trained: TrainedFold) -> Fold:
        """Evaluate the model of a fold."""
        prepared = trained.prepared
        task, model = prepared.task, prepared.built.model
        with task.holding_out():
            held_out = self._scores(model, *prepared.held_out, task.test)
        predictions = _row_by_row(
            model.predict(prepared.held_out[0], verbose=0, **self.arguments.for_prediction()), len(task.test)
        )
        with_metrics = self._with_metrics(held_out, model, prepared.held_out, predictions, task.number)
        train_scores = None
        if self.train_scores:
            with task.training():
                train_scores = self._scores(model, prepared.x, prepared.y, task.train)
            if self.metrics:
                found = model.predict(prepared.x, verbose=0, **self.arguments.for_prediction())
                of_train = _row_by_row(found, len(task.train))
                data = (prepared.x, prepared.y)
                train_scores = self._with_metrics(train_scores, model, data, of_train, task.number)
        return Fold(
            number=task.number,
            seed=task.seed,
            train=task.train,
            test=task.test,
            history=copy.copy(trained.history),  # without the model, which may be large
            scores=with_metrics,
            train_scores=train_scores,
            curves=None if prepared.curves is None else prepared.curves.values,
            predictions=predictions,
            model=model if self.keeps_models else None,
            seconds=trained.seconds,
            alone_because=trained.alone_because,
        )

    def _scores(self, model: Model, x: Any, y: Any, rows: np.ndarray[Any, Any]) -> dict[str, float]:
        """Return loss and metrics of `compile` over some rows."""
        found: dict[str, float] = model.evaluate(
            x, y, verbose=0, return_dict=True, **self.arguments.for_evaluation(rows)
        )
        return found

    def _with_metrics(
        self, scores: dict[str, float], model: Model, data: tuple[Any, Any], predictions: Any, number: int
    ) -> dict[str, float]:
        """Return scores with those of `metrics`, computed on predictions.

        Raises:
            ValueError: A metric cannot be computed, or has the name of one of `compile`.
        """
        if not self.metrics:
            return scores
        if predictions is None:
            raise ValueError("metrics need a prediction for each row; the outputs of the model are not row by row.")
        y = read_targets(*data)
        found = dict(scores)
        for name, metric in self.metrics.items():
            if name in scores:
                raise ValueError(f"the model is compiled with a metric {name!r}, too; pass metrics={{'name': ...}}.")
            try:
                found[name] = metric.compute(model, y, predictions)
            except (ValueError, TypeError) as error:
                raise type(error)(f"metric {name!r} of fold {number}: {error}") from error
        return found


def check_verbose(verbose: Any) -> int:
    """Return `verbose` as 0, 1 or 2.

    Raises:
        ValueError: It is something else.
    """
    if verbose == "auto":
        return 1
    if not isinstance(verbose, (bool, int)) or verbose not in (0, 1, 2):
        raise mismatch("verbose", verbose, "0, 1, 2 or 'auto'")
    return int(verbose)


def _row_by_row(predictions: Any, rows: int) -> Any:
    """Return predictions if they have a row for each input, else `None`."""
    found = [leaf for _, leaf in leaves(predictions)]
    is_complete = all(isinstance(leaf, np.ndarray) and leaf.ndim and len(leaf) == rows for leaf in found)
    return predictions if found and is_complete else None


def _in_words(fold: Fold) -> str:
    scores = list(fold.scores.items())
    shown = ", ".join(f"{name} {value:.4g}" for name, value in scores[:_SHOWN])
    return f"{shown}{', ...' if len(scores) > _SHOWN else ''} ({fold.seconds:.1f} s)"
