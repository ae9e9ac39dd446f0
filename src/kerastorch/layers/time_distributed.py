"""TimeDistributed: applies a module to every time step."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from kerastorch.core.errors import mismatch
from kerastorch.core.torch_private import pytree
from kerastorch.layers.wrapper import Wrapper
from kerastorch.symbolic.masks import takes_mask


class TimeDistributed(Wrapper):
    """Wrapper that applies a layer to every time step, in one call with all steps as rows of one batch.

    The result is that of a loop over the steps if the layer treats each row by itself. Batch normalization does not:
    here, its statistics are those of all rows of all steps, while Keras computes them for each step.

    Args:
        layer: Layer or any other `torch.nn.Module`, such as `Dense`, `Conv2D` or `nn.Linear`.
        activity_regularizer: Penalty on the output, divided by the batch size.
        name: Name of the layer.
        trainable: Whether the weights are trained.

    Shape: `(batch, time, ...)` -> `(batch, time, ...)`; the layer maps `(batch * time, ...)` to its own shape.

    >>> from kerastorch.layers.core import Dense
    >>> TimeDistributed(Dense(3))(torch.zeros(2, 6, 5)).shape
    torch.Size([2, 6, 3])
    """

    def __init__(
        self,
        layer: nn.Module,
        *,
        activity_regularizer: Any = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(layer, name=name, trainable=trainable, activity_regularizer=activity_regularizer)
        self._layer_takes_mask = takes_mask(layer)

    def build(self, *input_shapes: Any) -> None:
        """Do nothing: the layer is built by the rows of the first call, whose shape is not that of the input."""

    def forward(self, x: Any, mask: torch.Tensor | None = None) -> Any:
        """Return the outputs of the layer for all steps, `(batch, time, ...)`.

        Args:
            x: `(batch, time, ...)`, or a nested structure of such tensors.
            mask: `(batch, time, ...)`. If it has axes behind the time axis and `layer.forward` has a parameter `mask`,
                the layer gets it as `(batch * time, ...)`.

        Raises:
            ValueError: An input with fewer than 3 axes, or a mask of another batch size or number of steps.
        """
        first = pytree.tree_leaves(x)[0]
        if first.ndim < 3:
            raise mismatch("the input of TimeDistributed", tuple(first.shape), "of shape (batch, time, ...)")
        sizes = first.shape[:2]
        if mask is not None and (mask.ndim < 2 or mask.shape[0] != sizes[0] or mask.shape[1] != sizes[1]):
            raise mismatch("mask", tuple(mask.shape), f"of shape (batch, time, ...), here {tuple(sizes)}")
        rows = pytree.tree_map(_merge_time_into_batch, x)
        if self._layer_takes_mask and mask is not None and mask.ndim > 2:
            outputs = self.layer(rows, mask=_merge_time_into_batch(mask))
        else:
            outputs = self.layer(rows)
        return pytree.tree_map(lambda y: y.reshape(*sizes, *y.shape[1:]), outputs)

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """Return the mask of the output.

        A mask with axes behind the time axis becomes a mask of the time steps if the layer returns no mask for it.
        """
        if mask is None or mask.ndim == 2:
            return mask
        compute = getattr(self.layer, "compute_mask", None)
        inner = None if compute is None else compute(None, mask.flatten(0, 1))
        return mask.flatten(2).any(-1) if inner is None else mask


def _merge_time_into_batch(x: Any) -> Any:
    """Reshape a tensor `(batch, time, ...)` to `(batch * time, ...)`; return others unchanged."""
    return x.flatten(0, 1) if isinstance(x, torch.Tensor) else x
