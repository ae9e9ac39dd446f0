"""The shapes that a model was built for: files of Keras have them beside the config of a class of the user's own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from kerastorch.core.errors import CheckpointError
from kerastorch.core.module_tree import is_built, modules
from kerastorch.core.nested import map_structure
from kerastorch.core.tensor_spec import TRIAL_BATCH_SIZES, TRIAL_SIZES, TensorSpec
from kerastorch.layers.hashing import Hashing
from kerastorch.layers.string_lookup import StringLookup
from kerastorch.layers.text_vectorization import TextVectorization
from kerastorch.runtime.batch_transfer import BatchTransfer
from kerastorch.runtime.dry_run import build_lazy, isolated
from kerastorch.runtime.input_specs import known_input_specs

_MOST_VALUES = 2**26  # in the inputs that a model is called on once


def build(model: nn.Module, written: Mapping[str, Any]) -> Any:
    """Build a model that makes its weights in its first call, by a call on zeros of the shapes in a file.

    The specs of its inputs are returned, or `None` if it was built.

    Args:
        model: The model; nothing is done if it is built.
        written: The class and config in the file, with `build_config`.

    Raises:
        CheckpointError: The shapes are not in the file, are no shapes, or are too large to be tried.
    """
    if is_built(model):
        return None
    if _takes_texts(model):
        with isolated(modules(model)):
            build_lazy(model, np.full((TRIAL_BATCH_SIZES[0], 1), ""))
        return None
    config = written.get("build_config")
    shapes = config.get("input_shape", config.get("shapes_dict")) if isinstance(config, Mapping) else None
    if not shapes:
        raise CheckpointError(
            f"{written['class_name']} makes its weights in its first call, and the file does not say on which shapes. "
            "Save it after a call in Keras."
        )
    specs = _specs(shapes)
    parts = modules(model)
    inputs = map_structure(lambda spec: spec.zeros(TRIAL_BATCH_SIZES[0], TRIAL_SIZES[0]), specs)
    with isolated(parts):
        build_lazy(model, BatchTransfer(parts, torch.device("cpu")).inputs(inputs))
    return specs


def _takes_texts(model: nn.Module) -> bool:
    """Return whether a model is a chain that begins with a layer on texts, of which any number may be in a row."""
    first = next(iter(model.children()), None) if getattr(model, "is_chain", False) else None
    return isinstance(first, (StringLookup, TextVectorization, Hashing))


def written_shapes(model: nn.Module) -> Any:
    """Return the shapes of the inputs that a model has seen, in their structure.

    Raises:
        TypeError: The model has seen no data, so that Keras could not make its weights.
    """
    specs = known_input_specs(model)
    if specs is None:
        raise TypeError(
            f"the shapes of the inputs of {type(model).__name__} are not known, for which Keras makes its weights. "
            "Call fit before, or make the model as Model(inputs, outputs)."
        )
    return map_structure(lambda spec: [None, *spec.shape[1:]], specs)


def shape_of_chain(chain: nn.Module) -> Any:
    """Return the shape of the input that a `Sequential` without an `Input` has seen, or `None`."""
    specs = known_input_specs(chain)
    if specs is not None:
        return map_structure(lambda spec: [None, *spec.shape[1:]], specs)
    first = next(iter(chain.children()), None)
    shape: Any = (getattr(first, "built_on", None) or [None])[0]
    if not isinstance(shape, tuple) or not shape or not all(isinstance(size, int) for size in shape):
        return None
    return [None, *(None if size < 0 else size for size in shape[1:])]


def _specs(shapes: Any) -> Any:
    """Return the specs of inputs, with batches of any size."""
    if isinstance(shapes, Mapping):
        return {name: _specs(one) for name, one in shapes.items()}
    if not isinstance(shapes, list):
        raise CheckpointError(f"the shapes that the model was built for are no lists of sizes: {shapes!r}.")
    if any(isinstance(one, (list, dict)) for one in shapes):
        return [_specs(one) for one in shapes]
    sizes = [None, *shapes[1:]]
    if not all(size is None or (type(size) is int and size > 0) for size in sizes):
        raise CheckpointError(f"the model was built for inputs of shape {shapes!r}, which is no shape.")
    if math.prod(size or 1 for size in sizes) > _MOST_VALUES:
        raise CheckpointError(f"the model was built for inputs of shape {shapes!r}, which are too large to be tried.")
    return TensorSpec(tuple(sizes), torch.int64)  # cast to floats if the model cannot take integers
