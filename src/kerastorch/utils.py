"""Utilities: seeds, one-hot rows, padded sequences and `plot_model` as in Keras, and plots for lessons and reports."""

from __future__ import annotations

import importlib
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from kerastorch.core.errors import check_int, unknown
from kerastorch.data.data_tuples import pack_x_y_sample_weight, unpack_x_y_sample_weight

if TYPE_CHECKING:
    from kerastorch.inspection.plot import plot_model
    from kerastorch.plots.activation import plot_activation
    from kerastorch.plots.confusion_matrix import plot_confusion_matrix
    from kerastorch.plots.decision_boundary import plot_decision_boundary
    from kerastorch.plots.predictions import plot_predictions
    from kerastorch.plots.weights import plot_weights

__all__ = [
    "pack_x_y_sample_weight", "pad_sequences", "plot_activation", "plot_confusion_matrix", "plot_decision_boundary",
    "plot_model", "plot_predictions", "plot_weights", "set_random_seed", "to_categorical", "unpack_x_y_sample_weight",
]  # fmt: skip

# imported on first use, because their imports are slow and they are seldom used
_PLOTS = {
    "plot_activation": "plots.activation",
    "plot_confusion_matrix": "plots.confusion_matrix",
    "plot_decision_boundary": "plots.decision_boundary",
    "plot_model": "inspection.plot",
    "plot_predictions": "plots.predictions",
    "plot_weights": "plots.weights",
}


def set_random_seed(seed: int) -> None:
    """Seed Python, NumPy and torch, so that weights, dropout and the order of batches repeat.

    Args:
        seed: An integer from 0 to 2^32 - 1.

    >>> set_random_seed(0)
    """
    random.seed(check_int("seed", seed, 0))
    np.random.seed(seed)
    torch.manual_seed(seed)


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return class numbers as one-hot rows.

    Args:
        x: Integers >= 0 in any shape; a last axis of size 1 is removed.
        num_classes: Number of columns. Default: the largest class number plus one.

    Returns:
        A float32 array of shape `(*shape, num_classes)`.

    Raises:
        ValueError: A number is not an integer, is negative, or is not below `num_classes`.

    >>> to_categorical([0, 2])
    array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    given = np.asarray(x)
    classes = given.astype(np.int64)
    if classes.ndim > 1 and classes.shape[-1] == 1:
        given, classes = given[..., 0], classes[..., 0]
    n_classes = int(classes.max(initial=-1)) + 1 if num_classes is None else check_int("num_classes", num_classes)
    invalid = given[(given != classes) | (classes < 0) | (classes >= n_classes)]
    if invalid.size:
        raise ValueError(f"to_categorical takes whole numbers from 0 to {n_classes - 1}, got {invalid.flat[0]}.")
    rows: np.ndarray[Any, np.dtype[np.float32]] = (classes[..., None] == np.arange(n_classes)).astype(np.float32)
    return rows  # (*shape, n_classes)


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float = 0.0,
) -> np.ndarray[Any, Any]:
    """Return sequences of different lengths as one array, padded and truncated as in Keras.

    Args:
        sequences: Lists or arrays of numbers, or of rows of numbers that all have the same shape.
        maxlen: Length of the padded sequences. Default: that of the longest.
        dtype: Dtype of the array.
        padding: `'pre'` pads before a sequence, `'post'` after it.
        truncating: `'pre'` removes the first steps of a sequence that is too long, `'post'` the last.
        value: Value of the padding.

    Returns:
        An array of shape `(len(sequences), maxlen, ...)`.

    Raises:
        ValueError: `padding` or `truncating` has another value, or steps have different shapes.

    >>> pad_sequences([[1, 2, 3], [4]], padding="post")
    array([[1, 2, 3],
           [4, 0, 0]], dtype=int32)
    """
    for name, side in (("padding", padding), ("truncating", truncating)):
        if side not in ("pre", "post"):
            raise unknown(name, str(side), ("pre", "post"))
    arrays = [np.asarray(sequence) for sequence in sequences]
    length = max((len(array) for array in arrays), default=0) if maxlen is None else check_int("maxlen", maxlen)
    step_shape = next((array.shape[1:] for array in arrays if len(array)), ())
    padded = np.full((len(arrays), length, *step_shape), value, dtype=dtype)
    for row, array in zip(padded, arrays, strict=True):
        if not len(array):
            continue
        steps = array[-length:] if truncating == "pre" else array[:length]
        if array.shape[1:] != step_shape:
            raise ValueError(
                f"pad_sequences: steps have the shape {step_shape}, and in another sequence {array.shape[1:]}."
            )
        row[length - len(steps) if padding == "pre" else 0 :][: len(steps)] = steps
    return padded


def __getattr__(name: str) -> Any:
    if name in _PLOTS:
        return getattr(importlib.import_module(f"{__package__}.{_PLOTS[name]}"), name)
    raise AttributeError(f"module 'kerastorch.utils' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
