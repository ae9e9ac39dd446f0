"""SpectralNormalization: divides the weight of a layer by its largest singular value."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from kerastorch.core.channel_tracking import Channels, channels_after
from kerastorch.core.errors import check_int, mismatch
from kerastorch.layers.base import Layer
from kerastorch.layers.wrapper import Wrapper

_INITIAL_ITERATIONS = 15  # as in torch; they make the first estimate accurate


class SpectralNormalization(Wrapper):
    """Wrapper that runs a layer with `weight / sigma`, in which `sigma` is the largest singular value of its weight.

    Each training step improves the estimate of `sigma` by power iteration, and gradients flow through `sigma` (Miyato
    et al. 2018), as with `torch.nn.utils.parametrizations.spectral_norm`. The layer's `weight` is not changed, so
    penalties, constraints and the optimizer use the original values. Keras instead overwrites the weight with
    `weight / sigma`, and its gradient ignores `sigma`.

    Args:
        layer: Layer or other module with a `weight` of at least 2 axes; the matrix is `weight.flatten(1)`.
        power_iterations: Number of power iterations at each training step.
        name: Name of the layer.
        trainable: Whether the weights are trained.

    Shape: the input and output shapes of `layer`.

    >>> layer = SpectralNormalization(nn.Linear(2, 2, bias=False))
    >>> y = layer(torch.zeros(1, 2))
    >>> _ = layer.layer.weight.data.copy_(torch.tensor([[4.0, 0.0], [0.0, 2.0]]))
    >>> for _ in range(20):
    ...     y = layer(torch.tensor([[1.0, 1.0]]))
    >>> y.detach()
    tensor([[1.0000, 0.5000]])
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(
        self, layer: nn.Module, power_iterations: int = 1, *, name: str | None = None, trainable: bool = True
    ) -> None:
        super().__init__(layer, name=name, trainable=trainable)
        if not isinstance(layer, Layer) and not isinstance(getattr(layer, "weight", None), Tensor):
            raise mismatch("layer", layer, "a layer, or a torch.nn.Module, with a weight")
        self.power_iterations = check_int("power_iterations", power_iterations)

    def build(self, *input_shapes: Any) -> None:
        """Build the layer and estimate the singular vectors of its weight.

        Raises:
            ValueError: The layer has no weight of at least 2 axes.
        """
        super().build(*input_shapes)
        weight = getattr(self.layer, "weight", None)
        if not isinstance(weight, Tensor) or nn.parameter.is_lazy(weight) or weight.ndim < 2:
            raise ValueError(
                f"SpectralNormalization needs a layer with a weight of two axes or more, got {self.layer}."
            )
        with torch.no_grad():
            matrix = weight.flatten(1)
            u, v = torch.randn_like(matrix[:, 0]), torch.randn_like(matrix[0])
            for _ in range(_INITIAL_ITERATIONS):
                u, v = _power_iteration(matrix, u)
        self.register_buffer("weight_u", u)
        self.register_buffer("weight_v", v)

    def forward(self, x: Any) -> Any:
        """Run the layer with `weight / sigma`, and improve the estimate of `sigma` in training."""
        weight: Any = self.layer.weight
        matrix = weight.flatten(1)
        u, v = self.weight_u, self.weight_v
        if self.training and self.trainable:
            with torch.no_grad():
                for _ in range(self.power_iterations):
                    u, v = _power_iteration(matrix, u)
                self.weight_u.copy_(u)
                self.weight_v.copy_(v)
        else:
            # A later training step overwrites the buffers in place, which would break a backward pass through this one.
            u, v = u.clone(), v.clone()
        sigma = torch.dot(u, torch.mv(matrix, v))
        return functional_call(self.layer, {"weight": weight / sigma}, (x,))

    def channels_after(self, given: Channels | None) -> Channels | None:
        """Return what is known of the channels behind the wrapped layer."""
        return channels_after(self.layer, [given])

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """Return the mask of the wrapped layer's output."""
        return self.layer.compute_mask(x, mask) if isinstance(self.layer, Layer) else None


def _power_iteration(matrix: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Return better estimates of the first left and right singular vectors of `matrix`."""
    v = F.normalize(torch.mv(matrix.T, u), dim=0, eps=1e-12)
    return F.normalize(torch.mv(matrix, v), dim=0, eps=1e-12), v
