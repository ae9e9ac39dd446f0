"""Outputs of layers that were called by hand, as constants of a functional model, as in Keras.

In Keras, a tensor that a layer computed from numbers enters a functional model as it is: the weights of the layer are
no part of the model, and are not trained. So it is for layers that are called as in Keras, with a warning. For other
layers it is an error, which says how to make them a part of the model.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from kerastorch.core.errors import warn
from kerastorch.core.torch_private import pytree

_NAME = "_is_keras_constant"


def mark_constants(output: Any) -> None:
    """Mark the tensors that a call by hand returned; operations on them return tensors without the mark."""
    for tensor in pytree.tree_leaves(output):
        if isinstance(tensor, Tensor) and tensor.requires_grad:
            setattr(tensor, _NAME, True)


def with_constants(value: Any, what: str) -> Any:
    """Return the arguments of a recorded call with marked tensors in it detached from their weights.

    Args:
        value: The arguments.
        what: What is called, for the message.

    Warns:
        UserWarning: There is such a tensor.
    """
    if not any(getattr(one, _NAME, False) for one in pytree.tree_leaves(value)):
        return value
    warn(
        f"{what} was called on a symbol together with what a layer returned for numbers: that is a constant of the "
        "model, and the weights of the layer are not trained, as in Keras. To train them, call the layer on a symbol."
    )
    return pytree.tree_map(lambda one: one.detach() if getattr(one, _NAME, False) else one, value)
