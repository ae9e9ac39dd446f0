"""Arguments of the training within `fit`: parameters of the estimator, `fit_kwargs`, and what `fit` is given."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kerastorch.callbacks.base import Callback
from kerastorch.callbacks.callback_list import to_list
from kerastorch.callbacks.early_stopping import EarlyStopping
from kerastorch.core.errors import check_float, check_int, mismatch, shown, suggest
from kerastorch.model import Model
from kerastorch.wrappers.convergence import MAX_EPOCHS, MAX_EPOCHS_OF_ONE_BATCH, VALIDATION_PATIENCE, StopAtPlateau
from kerastorch.wrappers.inputs import FULL_BATCH

_KNOWN = tuple(name for name in inspect.signature(Model.fit).parameters if name not in ("self", "x", "y"))
_SMALLEST, _LARGEST, _STEPS = 64, 512, 100  # rows of a batch, and batches of an epoch in between


@dataclass(frozen=True)
class FitSettings:
    """The parameters of an estimator that concern its training.

    Attributes:
        epochs: Number of epochs, or `'auto'`.
        batch_size: Rows of a batch, or `'auto'`.
        callbacks: Callbacks, which each fit copies.
        validation_fraction: Fraction of the rows that are held out.
        verbose: As for `Model.fit`.
        keras_defaults: Whether `'auto'` means the defaults of `Model.fit`.
    """

    epochs: Any
    batch_size: Any
    callbacks: object
    validation_fraction: Any
    verbose: Any
    keras_defaults: bool

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if isinstance(value, str) and value == "auto":
                continue
            check_int(name, value, advice="Or 'auto'.")
        check_float("validation_fraction", self.validation_fraction, least=0, below=1)


def merge_arguments(fit_kwargs: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments for `Model.fit` that a user wrote: those of `fit` replace those of `fit_kwargs`.

    Callbacks of `fit_kwargs` are copied, since each fit begins with the same ones.

    Raises:
        TypeError: `Model.fit` has no such argument.
    """
    if fit_kwargs is not None and not isinstance(fit_kwargs, Mapping):
        raise TypeError(f"fit_kwargs must be a dict, got {shown(fit_kwargs)}.")
    found = dict(fit_kwargs or {})
    for where, names in (("fit_kwargs", found), ("fit", given)):
        for name in names:
            if name not in _KNOWN:
                raise TypeError(
                    f"{where} has the argument {name!r}, which Model.fit does not take.{suggest(name, _KNOWN)}"
                )
    if "callbacks" in found:
        found["callbacks"] = copy.deepcopy(found["callbacks"])
    return {**found, **given}


def training_arguments(
    settings: FitSettings, written: Mapping[str, Any], n_rows: int, *, has_validation: bool
) -> dict[str, Any]:
    """Return the arguments for `Model.fit`, without data and weights.

    Args:
        settings: Parameters of the estimator.
        written: What `merge_arguments` returned, without data and weights.
        n_rows: Number of training rows.
        has_validation: Whether there are validation rows.
    """
    found: dict[str, Any] = {"verbose": settings.verbose, **written}
    if "batch_size" not in found:
        found["batch_size"] = _batch_size(settings, n_rows)
    is_one_batch = found["batch_size"] is not None and found["batch_size"] >= n_rows
    if is_one_batch:
        found.setdefault("shuffle", False)
    callbacks = to_list(found.get("callbacks", copy.deepcopy(settings.callbacks)))
    if "epochs" not in found:
        found["epochs"], more = _epochs(settings, is_one_batch, has_validation)
        callbacks = callbacks if any(isinstance(one, EarlyStopping) for one in callbacks) else [*callbacks, *more]
    return {**found, "callbacks": callbacks}


def _batch_size(settings: FitSettings, n_rows: int) -> int | None:
    if settings.batch_size != "auto":
        return int(settings.batch_size)
    if settings.keras_defaults:
        return None
    return n_rows if n_rows <= FULL_BATCH else min(_LARGEST, max(_SMALLEST, n_rows // _STEPS))


def _epochs(settings: FitSettings, is_one_batch: bool, has_validation: bool) -> tuple[int, list[Callback]]:
    """Return the number of epochs, and the callbacks that may end training before."""
    if settings.epochs != "auto":
        return int(settings.epochs), []
    if settings.keras_defaults:
        return 1, []
    most = MAX_EPOCHS_OF_ONE_BATCH if is_one_batch else MAX_EPOCHS
    if has_validation:
        return most, [EarlyStopping("val_loss", patience=VALIDATION_PATIENCE, mode="min", restore_best_weights=True)]
    return most, [StopAtPlateau()]


def check_flag(name: str, value: Any) -> bool:
    """Return a boolean argument, or raise an error."""
    if not isinstance(value, bool):
        raise mismatch(name, value, "True or False")
    return value
