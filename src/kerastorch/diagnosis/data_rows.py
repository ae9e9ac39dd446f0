"""Rows of training and validation data as arrays, from anything that `fit` takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.nested import leaves
from kerastorch.data.batches import Batch
from kerastorch.data.data_adapter import DataAdapter
from kerastorch.data.lazy_arrays import LazyArray
from kerastorch.diagnosis.settings import FitSettings

MOST_ROWS = 20_000  # of each part
MOST_VALUES = 2**25


@dataclass(frozen=True)
class Rows:
    """Some rows of a part of the data.

    Attributes:
        x: All inputs side by side, float32 `(rows, columns)`; `None` if they are no numbers.
        y: Targets, `(rows, ...)`; `None` if there are several targets or none.
        count: Number of all rows, those included that are not here; `None` if it is unknown.
    """

    x: np.ndarray[Any, Any] | None
    y: np.ndarray[Any, Any] | None
    count: int | None


def training_and_validation(
    x: Any, y: Any, validation_data: Any, settings: FitSettings
) -> tuple[Rows | None, Rows | None]:
    """Return the rows of both parts; `None` for a part that was not given.

    Without `validation_data` the last rows are the validation if `fit` has split them off.

    Args:
        x: Inputs, or data that yield batches, as `fit` gets them.
        y: Targets.
        validation_data: `(x, y)`, `(x, y, sample_weight)`, or data that yield batches.
        settings: Settings of the fit.

    Raises:
        ValueError: `validation_data` has another number of parts.
        TypeError: Something is no data.
    """
    training = None if x is None else _rows_of(x, y, ("x", "y", "sample_weight"))
    if validation_data is None:
        held = settings.validation_rows
        is_whole = training is not None and settings.rows is not None and held is not None
        if training is None or not is_whole or settings.validation != "split":
            return training, None
        return _split(training, settings.rows or 0, held or 0)
    if isinstance(validation_data, (tuple, list)):
        if len(validation_data) not in (2, 3):
            raise ValueError(
                f"validation_data must be (x, y) or (x, y, sample_weight), got {len(validation_data)} parts."
            )
        inputs, targets = validation_data[0], validation_data[1]
        return training, _rows_of(inputs, targets, ("validation x", "validation y", "sample_weight"))
    return training, _rows_of(validation_data, None, ("validation_data", "y", "sample_weight"))


def _split(rows: Rows, first: int, last: int) -> tuple[Rows, Rows | None]:
    """Return the first rows and the last rows, if `fit` was given these rows."""
    length = len(rows.y if rows.y is not None else rows.x if rows.x is not None else ())
    if length != first + last or rows.count != length:
        return rows, None
    x, y = rows.x, rows.y
    return (
        Rows(None if x is None else x[:first], None if y is None else y[:first], first),
        Rows(None if x is None else x[first:], None if y is None else y[first:], last),
    )


def _rows_of(x: Any, y: Any, names: tuple[str, str, str]) -> Rows:
    adapter = DataAdapter(x, y, names=names, finite=False)
    held = adapter.arrays()
    if held is not None and not any(isinstance(leaf, LazyArray) for _, leaf in leaves(held.x)):
        return _as_rows([held], adapter.samples)
    batches, count = [], 0
    stream = adapter.batches(None).epoch(0)
    for batch in stream:
        batches.append(batch)
        count += _length(batch)
        if count >= MOST_ROWS:
            break
    close = getattr(stream, "close", None)
    if close is not None:
        close()  # ends the workers of a loader
    return _as_rows(batches, adapter.samples)


def _length(batch: Batch) -> int:
    return next((len(leaf) for _, leaf in leaves(batch.x) if isinstance(leaf, Tensor) and leaf.ndim), 0)


def _as_rows(batches: list[Batch], count: int | None) -> Rows:
    """Return the rows of some batches; every n-th row if there are many."""
    inputs = [_joined([leaf for _, leaf in leaves(batch.x)]) for batch in batches]
    targets = [_only([leaf for _, leaf in leaves(batch.y)]) for batch in batches]
    x = _concatenated(inputs)
    y = _concatenated(targets)
    if count is None:
        count = next((len(one) for one in (x, y) if one is not None), None)
    return Rows(x, y, count)


def _only(found: list[Any]) -> np.ndarray[Any, Any] | None:
    """Return a single tensor as an array; `None` if there are more or none."""
    if len(found) != 1 or not isinstance(found[0], Tensor) or not found[0].ndim:
        return None
    return _numbers(found[0][: MOST_ROWS * 50])


def _joined(found: list[Any]) -> np.ndarray[Any, Any] | None:
    """Return tensors of numbers side by side, float32 `(rows, columns)`; `None` if there is another object."""
    if not found or not all(isinstance(one, Tensor) and one.ndim and one.layout == torch.strided for one in found):
        return None
    width = sum(one[0].numel() if len(one) else 0 for one in found)
    most = max(1, min(MOST_ROWS * 50, MOST_VALUES // max(1, width)))
    parts = [_numbers(one[:most].reshape(min(most, len(one)), -1)).astype(np.float32) for one in found]
    return np.hstack(parts) if len({len(one) for one in parts}) == 1 else None


def _numbers(tensor: Tensor) -> np.ndarray[Any, Any]:
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def _concatenated(parts: list[np.ndarray[Any, Any] | None]) -> np.ndarray[Any, Any] | None:
    """Return the rows of all batches; `None` if one has none or their shapes differ."""
    known = [one for one in parts if one is not None]
    if not known or len(known) < len(parts) or len({one.shape[1:] for one in known}) > 1:
        return None
    return np.concatenate(known) if len(known) > 1 else known[0]
