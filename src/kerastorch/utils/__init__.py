"""Utilities: seeds, one-hot rows, datasets from files and arrays, images as arrays, plots; most of them as in Keras."""

from __future__ import annotations

import importlib
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from kerastorch.core.absent_names import absent_name
from kerastorch.core.errors import check_int
from kerastorch.core.keras_names import UTILS
from kerastorch.data.data_tuples import pack_x_y_sample_weight, unpack_x_y_sample_weight
from kerastorch.data.py_dataset import PyDataset
from kerastorch.preprocessing.sequence import pad_sequences

if TYPE_CHECKING:
    from kerastorch.inspection.plot import plot_model
    from kerastorch.plots.activation import plot_activation
    from kerastorch.plots.confusion_matrix import plot_confusion_matrix
    from kerastorch.plots.decision_boundary import plot_decision_boundary
    from kerastorch.plots.predictions import plot_predictions
    from kerastorch.plots.weights import plot_weights
    from kerastorch.preprocessing.audio_dataset import audio_dataset_from_directory
    from kerastorch.preprocessing.image import array_to_img, img_to_array, load_img, save_img
    from kerastorch.preprocessing.image_dataset import image_dataset_from_directory
    from kerastorch.preprocessing.split_dataset import split_dataset
    from kerastorch.preprocessing.text_dataset import text_dataset_from_directory
    from kerastorch.preprocessing.time_series_dataset import timeseries_dataset_from_array
    from kerastorch.utils import bounding_boxes

__all__ = [
    "PyDataset", "Sequence", "array_to_img", "audio_dataset_from_directory", "bounding_boxes",
    "image_dataset_from_directory",
    "img_to_array", "load_img", "normalize", "pack_x_y_sample_weight", "pad_sequences", "plot_activation",
    "plot_confusion_matrix", "plot_decision_boundary", "plot_model", "plot_predictions", "plot_weights", "save_img",
    "set_random_seed", "split_dataset", "text_dataset_from_directory", "timeseries_dataset_from_array",
    "to_categorical", "unpack_x_y_sample_weight",
]  # fmt: skip

# imported on first use, because their imports are slow and they are seldom used
_LAZY = {
    "array_to_img": "preprocessing.image",
    "audio_dataset_from_directory": "preprocessing.audio_dataset",
    "image_dataset_from_directory": "preprocessing.image_dataset",
    "img_to_array": "preprocessing.image",
    "load_img": "preprocessing.image",
    "plot_activation": "plots.activation",
    "plot_confusion_matrix": "plots.confusion_matrix",
    "plot_decision_boundary": "plots.decision_boundary",
    "plot_model": "inspection.plot",
    "plot_predictions": "plots.predictions",
    "plot_weights": "plots.weights",
    "save_img": "preprocessing.image",
    "split_dataset": "preprocessing.split_dataset",
    "text_dataset_from_directory": "preprocessing.text_dataset",
    "timeseries_dataset_from_array": "preprocessing.time_series_dataset",
}


Sequence = PyDataset  # the name of older versions of Keras


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


def normalize(x: Any, axis: int | None = -1, order: float = 2) -> Any:
    """Return an array divided by its norm along an axis; vectors of zeros stay zeros.

    Args:
        x: An array or a tensor.
        axis: Axis of the vectors. Default: the last. `None` takes the norm of the whole array.
        order: Order of the norm. Default 2, the Euclidean norm; 1 is the sum of the absolute values.

    Returns:
        A tensor for a tensor, else a NumPy array, of the shape of `x`.

    >>> normalize(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    if isinstance(x, torch.Tensor):
        floats = x if x.is_floating_point() else x.to(torch.get_default_dtype())
        norms = torch.linalg.norm(floats, order, axis, keepdim=True)
        return floats / torch.where(norms == 0, 1, norms)
    array = np.asarray(x)
    norm = np.linalg.norm(array, order, axis, keepdims=True)
    return array / np.where(norm == 0, 1, norm)


def __getattr__(name: str) -> Any:
    if name == "bounding_boxes":
        return importlib.import_module("kerastorch.utils.bounding_boxes")
    if name in _LAZY:
        return getattr(importlib.import_module(f"kerastorch.{_LAZY[name]}"), name)
    raise absent_name(__name__, name, __all__, UTILS)


def __dir__() -> list[str]:
    return __all__
