"""The initializer, regularizer and constraint of a weight: stored on the layer, applied when the weight is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from kerastorch import constraints, initializers, regularizers
from kerastorch.layers.base import Layer


def set_weight_options(layer: Layer, prefix: str, initializer: Any, regularizer: Any, constraint: Any) -> None:
    """Store the options of one weight as attributes of a layer, under the names of its constructor arguments.

    They are `<prefix>_initializer`, `<prefix>_regularizer` and `<prefix>_constraint`, where `get_config` reads them.

    Args:
        layer: the layer that will have the weight.
        prefix: Keras' name of the weight in these arguments, as `"kernel"` or `"bias"`.
        initializer: name or callable that fills the weight.
        regularizer: name or callable of the penalty on the weight; `None` for no penalty.
        constraint: name or callable that is applied to the weight after each step; `None` for no constraint.

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


def make_weight(layer: Layer, prefix: str, shape: Sequence[int], name: str, *, initializer: Any = None) -> nn.Parameter:
    """Return a new parameter of a layer with the options that `set_weight_options` stored.

    Args:
        layer: the layer that stores the options.
        prefix: the prefix of the options, as in `set_weight_options`.
        shape: size of the parameter on each axis.
        name: the attribute of the layer that the parameter will be assigned to.
        initializer: fills the parameter instead of the stored initializer; `None`, the default, for the stored one.
    """
    return layer.add_weight(
        shape,
        getattr(layer, f"{prefix}_initializer") if initializer is None else initializer,
        regularizer=getattr(layer, f"{prefix}_regularizer"),
        constraint=getattr(layer, f"{prefix}_constraint"),
        name=name,
    )
