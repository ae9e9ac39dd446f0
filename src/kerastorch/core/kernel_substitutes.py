"""What private kernels of torch compute, as loops over public functions, for versions of torch without them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def loop(name: str) -> Callable[..., Any]:
    """Return a function that calls a method of each tensor in a list.

    Args:
        name: Name of the method. Its arguments are common to all tensors, or lists with one for each.

    >>> loop("add")([torch.ones(1), torch.zeros(1)], [2, 3])
    [tensor([3.]), tensor([3.])]
    """

    def apply(tensors: list[Tensor], *arguments: Any) -> list[Tensor]:
        return [
            getattr(tensor, name)(*(one[index] if isinstance(one, (list, tuple)) else one for one in arguments))
            for index, tensor in enumerate(tensors)
        ]

    return apply


def norms(tensors: list[Tensor], norm_type: float = 2, dtype: torch.dtype | None = None) -> list[Tensor]:
    """Return the norm of each tensor."""
    return [torch.linalg.vector_norm(tensor, norm_type, dtype=dtype) for tensor in tensors]


def copy_(targets: list[Tensor], sources: list[Tensor]) -> None:
    """Copy each source to its target."""
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)


def mul_(tensors: list[Tensor], factors: Any) -> None:
    """Multiply each tensor in place by a common factor, or each by its own."""
    for index, tensor in enumerate(tensors):
        tensor.mul_(factors[index] if isinstance(factors, (list, tuple)) else factors)


def div_(tensors: list[Tensor], divisor: float) -> None:
    """Divide each tensor in place by a number."""
    for tensor in tensors:
        tensor.div_(divisor)


def unscale_(grads: list[Tensor], found_inf: Tensor, inv_scale: Tensor) -> None:
    """Multiply gradients in place by `inv_scale`, and set `found_inf` to 1 if one is not finite."""
    for grad in grads:
        if not bool(torch.isfinite(grad).all()):
            found_inf.fill_(1)
        grad.mul_(inv_scale)


def fans(weight: Tensor) -> tuple[int, int]:
    """Return the sizes `(fan_in, fan_out)` of a weight `(out, in, *window)`."""
    window = weight[0][0].numel()
    return weight.shape[1] * window, weight.shape[0] * window
