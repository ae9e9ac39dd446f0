"""Arithmetic on lists of tensors: one kernel for all of them, or one tensor after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kerastorch.core import kernel_substitutes
from kerastorch.core.torch_private import foreach_kernel, foreach_norm


class ListMath:
    """Operations on lists of tensors; the second operand is a number, a tensor without axes, or a list.

    Args:
        operation: Returns the function for the name of a method of tensors.
        norms: Returns the norms of tensors.

    >>> import torch
    >>> list(FOREACH.mul([torch.ones(1), torch.ones(1)], [2.0, 3.0]))
    [tensor([2.]), tensor([3.])]
    """

    def __init__(self, operation: Callable[[str], Callable[..., Any]], norms: Callable[..., Any]) -> None:
        self.norms = norms
        self.add_, self.sub_, self.mul_, self.div_ = map(operation, ("add_", "sub_", "mul_", "div_"))
        self.sub, self.mul, self.div, self.lerp = map(operation, ("sub", "mul", "div", "lerp"))
        self.lerp_, self.sign_, self.sqrt, self.pow = map(operation, ("lerp_", "sign_", "sqrt", "pow"))
        self.clamp_min_, self.clamp_max = map(operation, ("clamp_min_", "clamp_max"))


FOREACH = ListMath(foreach_kernel, foreach_norm)
LOOPS = ListMath(kernel_substitutes.loop, kernel_substitutes.norms)
