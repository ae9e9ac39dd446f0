"""Whether numbers are finite, found without a look where looking would make the device wait."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from kerastorch.core.torch_private import foreach_norm, foreach_unscale_

FREE = ("cpu",)  # devices whose numbers are read at no cost
SMALL = 2**14  # elements: up to here one call for many tensors is faster than one for each


def free_to_read(tensor: Tensor) -> bool:
    """Whether reading a number of this tensor costs nothing."""
    return tensor.device.type in FREE


def is_finite(tensor: Tensor) -> bool:
    """Whether all its elements are."""
    return bool(tensor.isfinite().all())


def gradients(weights: Iterable[Tensor]) -> list[Tensor]:
    """Their gradients; of sparse ones the values."""
    found = [weight.grad for weight in weights if weight.grad is not None]
    return [grad._values() if grad.layout == torch.sparse_coo else grad for grad in found]


def all_finite(loss: Tensor, grads: list[Tensor]) -> bool:
    """Whether the loss and all gradients are; one read, on the CPU one each.

    A sum or a norm of finite numbers may overflow. So if it is finite, the numbers are; if not, they are looked at.
    """
    if free_to_read(loss):
        if not math.isfinite(loss.item()):
            return False
        if _sums_finite(grads):
            return True
    else:
        norms = [norm.to(loss.device, torch.float32) for norm in foreach_norm(grads)] if grads else []
        if math.isfinite(torch.stack([loss.detach().to(torch.float32).reshape(()), *norms]).sum().item()):
            return True
    return is_finite(loss) and all(map(is_finite, grads))


def _sums_finite(grads: list[Tensor]) -> bool:
    small: list[Tensor] = []
    large: list[Tensor] = []
    for grad in grads:
        (small if grad.numel() <= SMALL else large).append(grad)
    if not all(math.isfinite(abs(grad.sum().item())) for grad in large):
        return False
    if not small:
        return True
    found = torch.zeros(())
    try:
        foreach_unscale_(small, found, _ONE)  # times 1: they stay as they are
    except RuntimeError:  # complex ones, and those that are one number seen many times
        return False
    return not found.item()


_ONE = torch.ones(())
