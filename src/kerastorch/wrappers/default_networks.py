"""The networks of estimators that are given neither a model nor a module: dense layers on standardized features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from kerastorch.core.errors import mismatch
from kerastorch.layers.core import Dense
from kerastorch.layers.feature_normalization import Normalization
from kerastorch.model import Model
from kerastorch.sequential import Sequential
from kerastorch.symbolic.input import Input
from kerastorch.symbolic.symbolic_tensor import call
from kerastorch.wrappers.targets import Array

LEARNING_RATE = 0.01
CODE = "code"  # name of the layer of an autoencoder whose outputs are the transformed rows


class Moments:
    """Weighted means and standard deviations of columns; 1 for columns of one value.

    Args:
        x: Dense or sparse array `(rows, columns)`.
        weights: Weight of each row; `None` for 1 each.
    """

    def __init__(self, x: Any, weights: Array | None) -> None:
        share = np.full(x.shape[0], 1 / x.shape[0]) if weights is None else weights / weights.sum()
        if isinstance(x, np.ndarray):
            x = x.astype(np.float64, copy=False)
            self.mean: Array = share @ x
            variance = share @ (x - self.mean) ** 2
        else:  # sparse rows are not centered, since that would fill them
            self.mean = np.asarray(x.T @ share, dtype=np.float64).ravel()
            variance = np.asarray(x.multiply(x).T @ share, dtype=np.float64).ravel() - self.mean**2
        is_constant = variance <= (1e-7 * np.maximum(np.abs(self.mean), 1e-30)) ** 2
        self.deviation = np.sqrt(np.where(is_constant, 1.0, variance))


def check_hidden(hidden: Any) -> tuple[int, ...]:
    """Return the sizes of hidden layers as a tuple of integers.

    Raises:
        ValueError: It is neither an integer nor a sequence of integers >= 1.
    """
    sizes = [hidden] if isinstance(hidden, (int, np.integer)) else hidden
    is_list = isinstance(sizes, (list, tuple, np.ndarray))
    if not is_list or any(isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1 for n in sizes):
        raise mismatch("hidden", hidden, "a tuple of integers >= 1, the units of each hidden layer")
    return tuple(map(int, sizes))


def classifier_network(x: Moments, widths: Sequence[int], hidden: Sequence[int], dtype: torch.dtype) -> Model:
    """Return a network that gives the logits of each output for rows of features.

    Args:
        x: Moments of the features.
        widths: Number of logits of each output; a network for several outputs returns a list.
        hidden: Units of each hidden layer.
        dtype: Dtype of its weights.
    """
    if len(widths) == 1:
        layers: list[nn.Module | Input] = [Input((len(x.mean),)), *_standardized(x, hidden), Dense(widths[0])]
        return _cast(Sequential(layers), dtype, x)
    inputs = Input((len(x.mean),), name="features")
    signal: Any = inputs
    for layer in _standardized(x, hidden):
        signal = call(layer, signal)
    return _cast(Model(inputs, [call(Dense(width), signal) for width in widths]), dtype, x)


def regressor_network(x: Moments, y: Moments, hidden: Sequence[int], dtype: torch.dtype) -> Model:
    """Return a network that gives values in the units of the targets for rows of features.

    Args:
        x: Moments of the features.
        y: Moments of the targets.
        hidden: Units of each hidden layer.
        dtype: Dtype of its weights.
    """
    layers: list[nn.Module | Input] = [Input((len(x.mean),)), *_standardized(x, hidden), Dense(len(y.mean))]
    return _cast(Sequential([*layers, _standardize(y, invert=True)]), dtype, x, y)


def autoencoder(x: Moments, n_components: int, hidden: Sequence[int], dtype: torch.dtype) -> Model:
    """Return a network that gives back the features it is given, through a layer of few units, `CODE`.

    Args:
        x: Moments of the features.
        n_components: Units of that layer.
        hidden: Units of each hidden layer before it; those after it come in the opposite order.
        dtype: Dtype of its weights.
    """
    encoder: list[nn.Module | Input] = [
        Input((len(x.mean),)),
        *_standardized(x, hidden),
        Dense(n_components, name=CODE),
    ]
    decoder: list[nn.Module | Input] = [*_hidden_layers(hidden[::-1]), Dense(len(x.mean)), _standardize(x, invert=True)]
    return _cast(Sequential([*encoder, *decoder]), dtype, x, x)


def _hidden_layers(sizes: Sequence[int]) -> list[nn.Module]:
    return [Dense(size, activation="relu") for size in sizes]


def _standardized(moments: Moments, hidden: Sequence[int]) -> list[nn.Module]:
    return [_standardize(moments), *_hidden_layers(hidden)]


def _standardize(moments: Moments, invert: bool = False) -> Normalization:
    mean, variance = moments.mean.tolist(), (moments.deviation**2).tolist()
    return Normalization(mean=mean, variance=variance, invert=invert)


def _cast(model: Model, dtype: torch.dtype, *moments: Moments) -> Model:
    """Return the model in a dtype, with its means and variances in all their digits."""
    model.to(dtype)
    layers: list[nn.Module | Input] = [part for part in model.modules() if isinstance(part, Normalization)]
    for layer, one in zip(layers, moments, strict=True):
        for buffer, values in (("mean", one.mean), ("variance", one.deviation**2)):
            layer.get_buffer(buffer).copy_(torch.from_numpy(values))
    return model
