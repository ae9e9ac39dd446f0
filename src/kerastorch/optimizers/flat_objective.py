"""FlatObjective: the loss of a closure and its gradient, as functions of one vector of all trainable weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

Vector = np.ndarray[Any, np.dtype[np.float64]]


class FlatObjective:
    """The loss of a closure and its gradient at any weights, for minimizers that work on one vector.

    The vector has float64 numbers, in the order of the weights; each weight rounds its part to its own dtype. A trial
    step may lead to a loss that is not finite: it then counts as infinite, so that a line search takes a shorter step.

    Args:
        name: Name of the optimizer, for messages.
        weights: The weights. Those with `requires_grad=False` are left out.
        closure: Computes the loss and its gradients, as for `torch.optim.Optimizer.step`.

    Attributes:
        first_loss: What the closure returned first; `None` before that.
        best: The vector with the smallest loss so far.
        n_evaluations: How often the closure was called.
    """

    def __init__(self, name: str, weights: Iterable[Tensor], closure: Callable[[], Any]) -> None:
        self._name = name
        self._weights = [weight for weight in weights if weight.requires_grad]
        self._closure = closure
        self.first_loss: Any = None
        self.best = self.weights()
        self.n_evaluations = 0
        self._best_value = math.inf

    @property
    def resolution(self) -> float:
        """Return the relative rounding error of the coarsest dtype among the weights."""
        return max((torch.finfo(weight.dtype).eps for weight in self._weights), default=0.0)

    def weights(self) -> Vector:
        """Return the weights as one vector."""
        return _to_vector(weight.detach() for weight in self._weights)

    @torch.no_grad()
    def set_weights(self, x: Vector) -> None:
        """Set the weights to the parts of a vector."""
        parts = torch.from_numpy(x).split([weight.numel() for weight in self._weights])
        for weight, part in zip(self._weights, parts, strict=True):
            weight.copy_(part.view(weight.shape).to(weight.dtype))  # on the CPU: not all devices have float64

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        """Return the loss and its gradient at `x`.

        Raises:
            ValueError: The loss or its gradient is not finite at the weights that the step begins with.
        """
        self.set_weights(x)
        self.n_evaluations += 1
        with torch.enable_grad():
            loss = self._closure()
        value, gradient = _to_float(loss), self._gradient()
        is_finite = math.isfinite(value) and bool(np.isfinite(gradient).all())
        if self.first_loss is None:
            self.first_loss = loss
            if not is_finite:
                what = "the gradient of the loss is NaN or infinite" if math.isfinite(value) else f"the loss is {value}"
                raise ValueError(
                    f"{self._name}: {what} at the weights that the step begins with. Check the data for NaN and for "
                    "very large values, and the model for a logarithm or a root of numbers <= 0."
                )
        if not is_finite:
            return math.inf, np.zeros_like(gradient)
        if value < self._best_value:
            self.best, self._best_value = x.copy(), value
        return value, gradient

    def hessian_times(self, x: Vector, direction: Vector) -> Vector:
        """Return the product of the Hessian at `x` and a direction, from the gradients on both sides of `x`.

        The error of the central difference is `O(h^2) + O(resolution / h)` for a step of length `h`; it is smallest for
        `h` near the cube root of the resolution. If a gradient is not finite, the product is zero.
        """
        length = float(np.linalg.norm(direction))
        if not length:
            return np.zeros_like(direction)
        step = self.resolution ** (1 / 3) * (1 + float(np.linalg.norm(x))) / length
        (before, gradient_before), (after, gradient_after) = self(x - step * direction), self(x + step * direction)
        if not (math.isfinite(before) and math.isfinite(after)):
            return np.zeros_like(direction)
        product: Vector = (gradient_after - gradient_before) / (2 * step)
        return product

    def _gradient(self) -> Vector:
        """Return the gradients as one vector, with zeros for weights without one."""
        return _to_vector(
            torch.zeros_like(weight) if weight.grad is None else weight.grad.to_dense() for weight in self._weights
        )


def _to_float(loss: Any) -> float:
    return float(loss.detach() if isinstance(loss, Tensor) else loss)


def _to_vector(tensors: Iterable[Tensor]) -> Vector:
    """Return the numbers of several tensors as one vector of float64."""
    parts = [tensor.detach().reshape(-1).cpu().double() for tensor in tensors]
    return torch.cat(parts).numpy() if parts else np.zeros(0)
