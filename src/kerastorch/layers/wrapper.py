"""Wrapper, the base of layers that run another layer."""

from __future__ import annotations

from typing import Any

from torch import nn

from kerastorch.layers.base import Layer


class Wrapper(Layer):
    """Base of layers that run another layer; subclasses define `forward` or `call`, which calls `self.layer`.

    Args:
        layer: Layer or any other `torch.nn.Module`.
        activity_regularizer: Penalty on the output, divided by the batch size.
        name: Name of the layer.
        trainable: Whether the weights are trained.

    Raises:
        TypeError: `layer` is no module.

    >>> import torch
    >>> class Residual(Wrapper):
    ...     def forward(self, x):
    ...         return x + self.layer(x)
    >>> Residual(nn.Linear(3, 3))(torch.zeros(2, 3)).shape
    torch.Size([2, 3])
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
            raise TypeError(f"{type(self).__name__} takes a layer or a torch.nn.Module, got {layer!r}.")
        self.layer = layer

    def build(self, *input_shapes: Any) -> None:
        """Build the wrapped layer for the same inputs; a module of torch is left as it is."""
        if isinstance(self.layer, Layer):
            self.layer.ensure_built(*input_shapes)
