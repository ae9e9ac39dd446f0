"""Pipeline: a chain of preprocessing layers as one layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from kerastorch.core.name_lookup import own_name
from kerastorch.core.serialization import encode
from kerastorch.layers.base import Layer
from kerastorch.symbolic.masks import mask_after, takes_mask


class Pipeline(Layer):
    """Chain of layers that acts as one layer, as for preprocessing and augmentation.

    Args:
        layers: The layers, each of which is called on the output of the one before.
        name: Name of the layer.
        trainable: Whether the weights of the layers are trained.

    >>> import torch
    >>> from kerastorch.layers import RandomFlip, Rescaling
    >>> Pipeline([Rescaling(1 / 255), RandomFlip()])(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 3, 8, 8])
    """

    def __init__(self, layers: Sequence[nn.Module], *, name: str | None = None, trainable: bool = True) -> None:
        super().__init__(name=name, trainable=trainable)
        if not isinstance(layers, (list, tuple)) or not all(isinstance(layer, nn.Module) for layer in layers):
            raise TypeError(f"Pipeline takes a list of layers, got {layers!r}.")
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Any, mask: Any = None) -> Any:
        """Return the output of the last layer.

        Args:
            x: Input of the first layer.
            mask: Mask of `x`, for the layers that take one.
        """
        for layer in self.layers:
            is_used = mask is not None and takes_mask(layer)
            y = layer(x, mask=mask) if is_used else layer(x)
            x, mask = y, mask_after(layer, x, mask, is_used)
        return x

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """Return the mask of the input if all layers support masks, else `None`."""
        return mask if all(getattr(layer, "supports_masking", False) for layer in self.layers) else None

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, with the layers encoded."""
        return {"layers": [encode(layer) for layer in self.layers], "name": own_name(self), "trainable": self.trainable}
