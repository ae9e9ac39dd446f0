"""Initializer, regularizer and constraint of a weight, stored on its layer before the weight exists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from kerastorch import constraints, initializers, regularizers
from kerastorch.initializers import FillFunction
from kerastorch.layers.base import Layer
from kerastorch.layers.options import LayerOptions

_KERNELS = ("kernel", "pointwise", "recurrent")  # whose layout in Keras is another


def _on_keras_view(initializer: FillFunction) -> FillFunction:
    """Return an initializer of torch's layout for one of Keras'."""

    def fill(weight: Tensor) -> Tensor:
        initializer(initializers.keras_view(weight))
        return weight

    return fill


def set_weight_options(layer: Layer, prefix: str, initializer: Any, regularizer: Any, constraint: Any) -> None:
    """Store initializer, regularizer and constraint of a weight as attributes of its layer.

    The attributes are `<prefix>_initializer`, `<prefix>_regularizer` and `<prefix>_constraint`, the names of Keras'
    constructor arguments, as `get_config` expects.

    Args:
        layer: Layer that will have the weight.
        prefix: Keras' name of the weight in these arguments, as `"kernel"` or `"bias"`.
        initializer: Name or callable that fills the weight.
        regularizer: Name or callable of the penalty on the weight; `None` for no penalty.
        constraint: Name or callable that is applied to the weight after each step; `None` for no constraint.

    Raises:
        ValueError: An unknown name.

    >>> from kerastorch.layers import Lambda
    >>> layer = Lambda(abs)
    >>> set_weight_options(layer, "kernel", "zeros", "l2", None)
    >>> layer.kernel_regularizer.get_config()
    {'l2': 0.01}
    """
    setattr(layer, f"{prefix}_initializer", initializers.get(initializer))
    setattr(layer, f"{prefix}_regularizer", regularizers.get(regularizer))
    setattr(layer, f"{prefix}_constraint", constraints.get(constraint))


def set_weight_options_from(layer: Layer, options: LayerOptions, *prefixes: str) -> None:
    """Store the options of several weights, as `set_weight_options` does for one.

    Args:
        layer: Layer that will have the weights.
        options: Constructor arguments; they have `<prefix>_initializer` and so on for each prefix.
        prefixes: Keras' names of the weights, as `"kernel"` or `"bias"`.

    Raises:
        ValueError: An unknown name of an initializer, regularizer or constraint.
    """
    for prefix in prefixes:
        initializer, regularizer, constraint = (
            getattr(options, f"{prefix}_{kind}") for kind in ("initializer", "regularizer", "constraint")
        )
        set_weight_options(layer, prefix, initializer, regularizer, constraint)


def make_weight(layer: Layer, prefix: str, shape: Sequence[int], name: str, *, initializer: Any = None) -> nn.Parameter:
    """Return a new parameter of a layer with the options that `set_weight_options` stored.

    Args:
        layer: Layer that stores the options.
        prefix: Prefix of the options, as in `set_weight_options`.
        shape: Size of the parameter on each axis.
        name: Attribute of the layer that the parameter will be assigned to.
        initializer: Replaces the stored initializer. Default `None` for the stored one.
    """
    stored = getattr(layer, f"{prefix}_initializer")
    if prefix in _KERNELS and initializers.is_in_keras_layout(stored, layer.keras_layout) and initializer is None:
        initializer = _on_keras_view(stored)
    return layer.add_weight(
        shape,
        stored if initializer is None else initializer,
        regularizer=getattr(layer, f"{prefix}_regularizer"),
        constraint=getattr(layer, f"{prefix}_constraint"),
        name=name,
    )
