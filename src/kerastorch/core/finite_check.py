"""Checking losses and gradients for NaN and infinity with as few device synchronisations as possible."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from kerastorch.core.distributed_tensors import is_distributed_tensor, is_true_everywhere, local_part
from kerastorch.core.torch_private import foreach_norm, foreach_unscale_, sparse_values

FREE = ("cpu",)  # types of devices whose values are read without a synchronisation
SMALL = 2**14  # elements; up to this size one call for many tensors is faster than one call a tensor


def free_to_read(tensor: Tensor) -> bool:
    """Return whether reading a value of this tensor needs no device synchronisation."""
    return tensor.device.type in FREE


def is_finite(tensor: Tensor) -> bool:
    """Return whether all elements of a tensor are finite; of one of several processes, those that this one holds."""
    return bool(local_part(tensor).isfinite().all())


def gradients(weights: Iterable[Tensor]) -> list[Tensor]:
    """Return the gradients of weights that have one; of sparse gradients, the values."""
    found = [weight.grad for weight in weights if weight.grad is not None]
    return [sparse_values(grad) if grad.layout == torch.sparse_coo else grad for grad in found]


def all_finite(loss: Tensor, grads: list[Tensor]) -> bool:
    """Return whether a loss and all gradients are finite, with one device synchronisation.

    If a sum or a norm is finite, so are its terms. Since finite terms may overflow, an infinite sum decides nothing,
    and the elements are checked one by one. If several processes hold the gradients together, each checks its loss and
    its part, and all of them return whether all are finite.
    """
    shared = next(filter(is_distributed_tensor, grads), None)
    if shared is not None:
        return is_true_everywhere(all_finite(loss, list(map(local_part, grads))), shared)
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
    """Return whether a cheap check on the CPU shows that all gradients are finite.

    `False` may also be due to an overflow of a sum.
    """
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
        foreach_unscale_(small, found, _ONE)  # scaled by 1: the gradients keep their values
    except RuntimeError:  # the kernel takes no complex and no expanded tensors
        return False
    return not found.item()


_ONE = torch.ones(())
