"""A model of Keras as a model of kerastorch, with a check that both return the same outputs."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerastorch.core.errors import ConversionError
from kerastorch.core.torch_private import pytree
from kerastorch.core.traceback_filter import public_api
from kerastorch.layers.embedding import Embedding
from kerastorch.model import Model
from kerastorch.saving.load import load_model

_VARYING = 6  # size of a sample on an axis whose size varies


@public_api
def convert(
    keras_model: Any,
    sample: Any = None,
    custom_objects: Mapping[str, Any] | None = None,
    *,
    tolerance: float = 1e-5,
) -> Model:
    """Return a model with the layers and weights of a model of Keras, after comparing the outputs of both.

    The model is a `torch.nn.Module` in evaluation mode, compiled as the other one was. Keras must be installed, with
    any backend; `load_model` reads files of Keras without it.

    Args:
        keras_model: A built model of Keras 3.
        sample: Inputs on which both are compared. Default: random numbers of the shapes of the model's inputs.
        custom_objects: Your own layers, written for kerastorch, by the names of the classes in Keras.
        tolerance: Largest difference of an output, in units of the largest output or of 1. Default 1e-5.

    Raises:
        CheckpointError: The model has a layer or an argument that kerastorch does not have.
        ConversionError: The outputs differ; the message says by how much.
        ValueError: The model is not built, or `sample` is needed since the shapes of its inputs are not known.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        keras_model.save(path)
        model = load_model(path, custom_objects)
    inputs = _sample(model) if sample is None else sample
    with torch.no_grad():
        expected = keras_model(inputs, training=False)
        found = model.eval()(inputs)
    _compare(expected, found, tolerance)
    return model


def _sample(model: Model) -> Any:
    """Return random inputs of the shapes of a model's inputs."""
    try:
        given = model.symbols[0]
    except (AttributeError, TypeError):
        raise ValueError(
            "convert() needs sample=, inputs for a call, since the shapes of the inputs are not known."
        ) from None
    rng = np.random.default_rng(0)
    sizes = [part.input_dim for part in model.modules() if isinstance(part, Embedding)]
    numbers = min(sizes, default=10)

    def make(symbol: Any) -> Any:
        shape = tuple(size if isinstance(size, int) else _VARYING for size in symbol.shape)
        if not symbol.dtype.is_floating_point:
            return rng.integers(0, numbers, shape)
        return rng.normal(size=shape).astype("float32")

    return pytree.tree_map(make, given)


def _compare(expected: Any, found: Any, tolerance: float) -> None:
    """Raise `ConversionError` if outputs differ by more than a tolerance."""
    wanted, got = _leaves(expected), _leaves(found)
    if len(wanted) != len(got):
        raise ConversionError(f"Keras returns {len(wanted)} outputs, the converted model {len(got)}.")
    for index, (one, other) in enumerate(zip(map(_array, wanted), map(_array, got), strict=True)):
        if one.shape != other.shape:
            raise ConversionError(
                f"output {index} has shape {one.shape} in Keras, {other.shape} in the converted model."
            )
        difference = float(np.abs(one - other).max(initial=0)) / max(1.0, float(np.abs(one).max(initial=0)))
        if not difference <= tolerance:
            raise ConversionError(
                f"output {index} differs from that of Keras by {difference:.1e}, more than {tolerance:.1e}."
            )


def _leaves(outputs: Any) -> list[Any]:
    """Return the tensors of outputs, those of a dict in the order of the sorted keys."""
    if isinstance(outputs, Mapping):
        return [leaf for name in sorted(outputs) for leaf in _leaves(outputs[name])]
    if isinstance(outputs, (list, tuple)):
        return [leaf for one in outputs for leaf in _leaves(one)]
    return [outputs]


def _array(value: Any) -> np.ndarray[Any, Any]:
    return value.detach().cpu().double().numpy() if isinstance(value, Tensor) else np.asarray(value, dtype="float64")
