"""FoldArguments: the arguments of `fit` for each fold: its own rows, callbacks and folders."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kerastorch.callbacks.base import Callback
from kerastorch.callbacks.callback_list import to_list
from kerastorch.callbacks.progress_bar import ProgressBar
from kerastorch.core.errors import shown, suggest
from kerastorch.core.path_checks import parse_path
from kerastorch.model import Model
from kerastorch.model_selection.fold_checkpoint import FoldCheckpoint, delete_fold_checkpoint
from kerastorch.model_selection.rows import Rows, count_rows, take_rows

_OF_FOLDS = ("x", "y", "verbose")  # what each fold has of its own
_FOLDERS = ("resume", "nan_report")  # with a subfolder for each fold
_ADVICE = {
    "validation_data": (
        "The held-out rows of each fold are evaluated after its training. Rows that callbacks may follow during "
        "training come from the training rows: validation_split=0.1. held_out_curves=True evaluates the held-out rows "
        "after each epoch."
    ),
    "scoring": "Its name is metrics.",
    "return_estimator": "Its name is return_models.",
    "random_state": "Its name is seed.",
    "n_splits": "The number of folds is cv=5.",
    "k": "The number of folds is cv=5.",
    "folds": "The number of folds is cv=5.",
    "n_repeats": "Its name is repeats.",
    "n_jobs": "Small models are trained together in one process.",
    "train_sizes": "Its name is sizes.",
    "param_range": "Its name is values.",
    "fit_params": "Pass the arguments of fit by their names: epochs=10.",
}


class FoldArguments:
    """The arguments of `fit` for each fold.

    Args:
        owner: Name of the function that was given the arguments, for messages.
        given: Arguments of `fit` for all folds. `callbacks` may be a function of the number of the fold, from 1, that
            returns callbacks; of instances, each fold gets a copy. `sample_weight` and `validation_stratify` have a
            value for each row of all data.
        rows: Number of rows of all data.

    Raises:
        TypeError: `fit` has no argument of a name, or it cannot be given to all folds.
        ValueError: An argument with a value for each row has another number of them; callbacks would write the files
            of one fold over those of another.
    """

    def __init__(self, owner: str, given: Mapping[str, Any], rows: int) -> None:
        _check_names(owner, given)
        self._given = dict(given)
        self._by_row = {
            name: self._given.pop(name)
            for name in ("sample_weight", "validation_stratify")
            if self._given.get(name) is not None and not isinstance(self._given[name], bool)
        }
        for name, values in self._by_row.items():
            count_rows(x=range(rows), **{name: values})
        self._folders = {
            name: parse_path(name, self._given.pop(name)) for name in _FOLDERS if self._given.get(name) is not None
        }
        self._make_callbacks = _callback_factory(self._given.pop("callbacks", None))

    def of_fold(self, number: int, train: Rows) -> dict[str, Any]:
        """Return the arguments for a fold, without the data.

        Args:
            number: Number of the fold, from 1.
            train: Its training rows.
        """
        by_row = {name: take_rows(values, train) for name, values in self._by_row.items()}
        folders = {name: self._folder_of(name, number) for name in self._folders}
        callbacks = list(self._make_callbacks(number))
        if "resume" in folders:
            callbacks.append(FoldCheckpoint(folders.pop("resume")))
        return {**self._given, **by_row, **folders, **({"callbacks": callbacks} if callbacks else {})}

    def within(self, folder: str) -> FoldArguments:
        """Return the same arguments with folders in a subfolder, for folds of several values or sizes.

        Args:
            folder: Name of the subfolder.
        """
        found = copy.copy(self)
        found._folders = {name: Path(outer) / folder for name, outer in self._folders.items()}
        return found

    def delete_checkpoint(self, number: int) -> None:
        """Delete the saved state of a fold, if `resume` was given.

        Args:
            number: Number of the fold, from 1.
        """
        if "resume" in self._folders:
            delete_fold_checkpoint(self._folder_of("resume", number))

    def for_evaluation(self, rows: Rows) -> dict[str, Any]:
        """Return the arguments of `evaluate` for some rows: their weights, and what `fit` was given, too."""
        weight = take_rows(self._by_row.get("sample_weight"), rows)
        return {**self.for_prediction(), **({} if weight is None else {"sample_weight": weight}), **self._checks()}

    def for_prediction(self) -> dict[str, Any]:
        """Return the arguments of `predict`: the batch size and the workers that `fit` was given."""
        names = {"validation_batch_size": "batch_size", "workers": "workers"}
        return {name: self._given[given] for given, name in names.items() if self._given.get(given) is not None}

    def _folder_of(self, name: str, number: int) -> Path:
        return Path(self._folders[name]) / f"fold-{number}"

    def _checks(self) -> dict[str, Any]:
        return {name: self._given[name] for name in ("check_finite",) if name in self._given}


def _check_names(owner: str, given: Mapping[str, Any]) -> None:
    """Raise if `fit` has no argument of a name, or each fold has its own."""
    known = [name for name in inspect.signature(Model.fit).parameters if name not in ("self", *_OF_FOLDS)]
    for name in given:
        if name == "validation_data":
            raise TypeError(f"{owner}() takes no validation_data. {_ADVICE[name]}")
        if name not in known:
            hint = f" {_ADVICE[name]}" if name in _ADVICE else suggest(name, known)
            raise TypeError(f"{owner}() has no argument {name!r}, nor has fit().{hint}")


def _callback_factory(given: Any) -> Callable[[int], Sequence[Callback]]:
    """Return a function that makes the callbacks of a fold, given its number."""
    if callable(given) and not isinstance(given, Callback):
        return lambda number: to_list(given(number))
    own = to_list(given)
    for callback in own:
        _check_can_be_copied(callback)
    return lambda _: [_copy(callback) for callback in own]


def _copy(callback: Callback) -> Callback:
    """Return a copy of a callback, without the model that it was used for before.

    Raises:
        TypeError: The callback cannot be copied.
    """
    try:
        return copy.deepcopy(callback, {id(callback.model): None})
    except Exception as error:
        raise TypeError(
            f"{type(callback).__name__} cannot be copied for each fold ({error}). Pass a function of the number of the "
            "fold, from 1, that makes a new one: callbacks=lambda fold: [...]."
        ) from error


def _check_can_be_copied(given: Any) -> None:
    """Raise if the copies of a callback for two folds would write the same files."""
    if isinstance(given, type) or not isinstance(given, Callback):
        raise TypeError(f"callbacks must be callback instances, or a function of the fold, got {shown(given)}.")
    name = type(given).__name__
    if given.is_checkpointer:
        raise ValueError(f"{name} would resume a fold from another one; pass resume='folder', with a folder a fold.")
    if given.first_process_only and not isinstance(given, ProgressBar):
        raise ValueError(
            f"{name} writes files or sends logs, and each fold would replace those of the fold before. Pass a function "
            f"of the number of the fold, from 1: callbacks=lambda fold: [{name}(f'fold-{{fold}}...')]."
        )
