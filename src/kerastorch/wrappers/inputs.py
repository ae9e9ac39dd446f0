"""Inputs and sample weights of estimators: checked as scikit-learn does, with the dtype that a network computes in."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils.validation import _check_sample_weight, validate_data

from kerastorch.core.errors import check_choice, mismatch, shown
from kerastorch.core.rng_state import preserved_rng_states
from kerastorch.core.tables import check_is_read
from kerastorch.wrappers.targets import Array

FULL_BATCH = 256  # rows that are trained as one batch, so that a weight of 2 is the same as the row twice
_SINGLE = (np.float32, np.float16, np.uint8, np.int8, np.int16, np.bool_)  # exact in float32


def check_inputs(estimator: BaseEstimator, x: Any, *, reset: bool) -> Any:
    """Return inputs as an array `(rows, features, ...)` or a sparse CSR array.

    Args:
        estimator: Gets `n_features_in_` and `feature_names_in_`, or is compared with them.
        x: An array, DataFrame, list of rows or sparse array.
        reset: Whether the estimator is being fitted anew.

    Raises:
        TypeError: It is a loader or a dataset.
        ValueError: There are no rows or features, NaN or infinity; or other features than those of `fit`.
    """
    check_is_array(x)
    return validate_data(estimator, _on_host(x), reset=reset, accept_sparse="csr", allow_nd=True)


def check_is_array(x: Any) -> None:
    """Raise a TypeError for loaders, datasets, and queries of polars."""
    check_is_read(x, "X")
    if isinstance(x, (torch.utils.data.Dataset, torch.utils.data.DataLoader)):
        raise TypeError(
            f"X must be an array or a DataFrame, got {shown(x)}: scikit-learn splits and selects rows. Loaders and "
            "datasets go to the fit of a model."
        )


def _on_host(value: Any) -> Any:
    """Return a tensor as an array of NumPy, and other values as they are."""
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value


def check_inputs_and_targets(
    estimator: BaseEstimator, x: Any, y: Any, *, reset: bool, are_numbers: bool = False
) -> tuple[Any, Array]:
    """Return inputs as `check_inputs` does, and targets as an array `(rows,)` or `(rows, columns)`.

    Args:
        estimator: The estimator that is being fitted.
        x: Inputs.
        y: Targets; sparse columns of zeros and ones become dense.
        reset: Whether the estimator is being fitted anew.
        are_numbers: Whether the targets must be numbers.

    Raises:
        TypeError: The inputs are a loader or a dataset.
        ValueError: As for `check_inputs`; targets are missing, not finite, or have another number of rows.
    """
    check_is_array(x)
    check_is_read(y, "y")
    _check_none_is_missing(y)
    found = validate_data(
        estimator, _on_host(x), _on_host(y), reset=reset, accept_sparse="csr", allow_nd=True, multi_output=True,
        y_numeric=are_numbers,
    )  # fmt: skip
    targets = found[1].toarray() if issparse(found[1]) else found[1]
    return found[0], targets


def _check_none_is_missing(y: Any) -> None:
    """Raise a ValueError if a label is `None`, which cannot be sorted among others."""
    labels = np.asarray(y, dtype=object) if isinstance(y, list) else getattr(y, "values", y)
    if not isinstance(labels, np.ndarray) or labels.dtype.kind != "O" or not labels.size or not labels.ndim:
        return
    rows = [row for row, label in enumerate(labels.reshape(len(labels), -1)) if any(one is None for one in label)]
    if rows:
        raise ValueError(f"y has no label in {len(rows)} of {len(labels)} rows, first in row {rows[0]}: it is None.")


def check_weights(sample_weight: Any, x: Any) -> Array | None:
    """Return the weights of rows in float64; `None` if there are none.

    Raises:
        ValueError: There is not one number >= 0 for each row, or all are 0.
    """
    if sample_weight is None:
        return None
    weights: Array = _check_sample_weight(sample_weight, x, dtype=np.float64)
    if (weights < 0).any():
        raise ValueError(f"sample_weight must not be negative, got {weights.min():g}.")
    if not weights.any():
        raise ValueError("sample_weight must contain at least one number that is not zero.")
    return weights


def choose_dtype(x: Any, dtype: Any, device: Any) -> torch.dtype:
    """Return the dtype that a network computes in.

    Args:
        x: Training inputs.
        dtype: `'auto'`, `'float32'` or `'float64'`, also as dtypes of torch.
        device: `'auto'` or a device.

    Raises:
        ValueError: It is something else.
    """
    name = str(dtype).removeprefix("torch.") if isinstance(dtype, torch.dtype) else dtype
    if isinstance(name, type) and name in (np.float32, np.float64):
        name = np.dtype(name).name
    chosen = check_choice("dtype", name, ("auto", "float32", "float64"))
    if chosen != "auto":
        return torch.float32 if chosen == "float32" else torch.float64
    is_slow = uses_accelerator(device) and x.shape[0] > FULL_BATCH
    if x.ndim > 2 or is_slow or x.dtype.type in _SINGLE:
        return torch.float32
    return torch.float64


def uses_accelerator(device: Any) -> bool:
    """Return whether a device argument means an accelerator."""
    if isinstance(device, str) and device == "auto":
        return torch.accelerator.is_available()
    try:
        return torch.device(device).type != "cpu"
    except (RuntimeError, TypeError) as error:
        raise mismatch("device", device, "'auto' or a device such as 'cpu' or 'cuda'") from error


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with preserved_rng_states():
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        yield


def seeded(seed: int | None) -> Any:
    """Seed Python, NumPy and torch within a block, and restore their states afterwards; nothing for `None`."""
    return nullcontext() if seed is None else _seeded(seed)
