"""TimeDistributed: a module at every time step."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from kerastorch.core.errors import mismatch
from kerastorch.core.serialization import encode
from kerastorch.core.torch_private import pytree
from kerastorch.layers.base import Layer


class TimeDistributed(Layer):
    """Applies a layer to every time step, all in one call: steps are rows of one large batch.

    That is exact for what works row by row. A batch normalization takes its statistics over the batch and all steps,
    once a call; Keras', step by step, takes them of each step alone.

    Args:
        layer: a layer or any `torch.nn.Module`; `Dense`, `Conv2D`, `nn.Linear`, ...
        name: see `Layer`; so are `trainable` and `activity_regularizer`.

    Shape: `(batch, time, ...)` -> `(batch, time, ...)`; what comes after the time is the layer's.

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
        super().__init__(name=name, trainable=trainable, activity_regularizer=activity_regularizer)
        if not isinstance(layer, nn.Module):
            raise TypeError(f"TimeDistributed takes a layer or a torch.nn.Module, got {layer!r}.")
        self.layer = layer
        self._masks = "mask" in inspect.signature(layer.forward).parameters

    def forward(self, x: Any, mask: torch.Tensor | None = None) -> Any:
        """See the class.

        Args:
            x: `(batch, time, ...)`, or several such.
            mask: `(batch, time, ...)`; the layer is given what lies behind the time, if anything.
        """
        first = pytree.tree_leaves(x)[0]
        if first.ndim < 3:
            raise mismatch("the input of TimeDistributed", tuple(first.shape), "of shape (batch, time, ...)")
        sizes = first.shape[:2]
        if mask is not None and (mask.ndim < 2 or mask.shape[0] != sizes[0] or mask.shape[1] != sizes[1]):
            raise mismatch("mask", tuple(mask.shape), f"of shape (batch, time, ...), here {tuple(sizes)}")
        rows = pytree.tree_map(_folded, x)
        found = self.layer(rows, mask=_folded(mask)) if self._within(mask) else self.layer(rows)
        return pytree.tree_map(lambda y: y.reshape(*sizes, *y.shape[1:]), found)

    def _within(self, mask: Any) -> bool:
        return self._masks and mask is not None and mask.ndim > 2

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """The mask of the steps; of what lies behind them what the layer makes of it."""
        if mask is None or mask.ndim == 2:
            return mask
        compute = getattr(self.layer, "compute_mask", None)
        inner = None if compute is None else compute(None, mask.flatten(0, 1))
        return mask.flatten(2).any(-1) if inner is None else mask

    def get_config(self) -> dict[str, Any]:
        """See `Configurable`."""
        names = ("layer", "activity_regularizer", "name", "trainable")
        return {name: encode(getattr(self, name)) for name in names}


def _folded(x: Any) -> Any:
    return x.flatten(0, 1) if isinstance(x, torch.Tensor) else x
