"""Dropout on the CPU with four random numbers of 16 bits from each of torch's 64, which takes a fifth of the time.

torch draws one number after the other for a mask, which takes longer than a dense layer before it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from kerastorch.core.distributed_tensors import is_distributed_tensor
from kerastorch.core.torch_private import is_transformed

LEAST = 8192  # elements; for fewer, torch's function is as fast
_STEPS = 1 << 16  # values of a random number
_ERROR = 1e-4  # largest relative error of a rate that is rounded to steps


def dropout(x: Tensor, rate: float) -> Tensor:
    """Return `x` with a random fraction `rate` of its elements set to 0, and the others scaled by `1 / (1 - rate)`.

    Random numbers are those of torch's generator. On the CPU the probability is rounded to a multiple of 1 / 65536. A
    rate that this would change by more than a ten-thousandth of it, few elements, and other devices get
    `torch.nn.functional.dropout`.

    Args:
        x: A tensor.
        rate: Probability that an element is set to 0, 0 to 1.
    """
    steps = round(rate * _STEPS)
    is_fine = abs(steps / _STEPS - rate) <= _ERROR * min(rate, 1 - rate) and 0 < rate < 1
    if not is_fine or x.numel() < LEAST or not _is_plain(x):
        return F.dropout(x, rate)
    numbers = torch.randint(-(1 << 63), (1 << 63) - 1, ((x.numel() + 3) // 4,), dtype=torch.int64, device=x.device)
    values = numbers.view(torch.int16)[: x.numel()].to(torch.promote_types(x.dtype, torch.float32))
    is_kept = values.add_(_STEPS // 2 + 1 - steps).clamp_(0, 1)  # 1 or 0: faster than to compare, and to convert that
    noise = is_kept.mul_(1 / (1 - rate)).to(x.dtype)
    return x * (noise.view(x.shape) if x.is_contiguous() else noise.as_strided(x.shape, torch.empty_like(x).stride()))


def _is_plain(x: Tensor) -> bool:
    """Return whether a tensor is a usual one on the CPU, and no transform runs, which would draw differently."""
    return (
        x.device.type == "cpu"
        and x.layout == torch.strided
        and x.is_floating_point()
        and not is_distributed_tensor(x)
        and not torch.compiler.is_dynamo_compiling()
        and not is_transformed()
    )
