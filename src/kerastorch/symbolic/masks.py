"""Masks, which say the time steps that count: how they go from one module to the next."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import torch
from torch import nn

from kerastorch.core.ownership import is_own

# modules of torch that work on each time step by itself: a mask of what they are given is one of what they make
_STEP_BY_STEP = (
    nn.Linear, nn.Identity, nn.Dropout, nn.AlphaDropout, nn.LayerNorm, nn.RMSNorm, nn.ReLU, nn.ReLU6, nn.LeakyReLU,
    nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Softmax,
    nn.LogSoftmax, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid,
)  # fmt: skip

# where a `compute_mask` is written that only goes by others
_INHERITED = ("layers.base", "functional.functional_model", "sequential")


def any_mask(masks: Any) -> bool:
    """Whether there is a mask among some."""
    return any(map(any_mask, masks)) if isinstance(masks, (tuple, list)) else masks is not None


def takes_mask(module: nn.Module) -> bool:
    """Whether `forward` has a parameter `mask`."""
    try:
        return "mask" in inspect.signature(module.forward).parameters
    except (TypeError, ValueError):  # a forward that is no Python
        return False


def makes_mask(module: nn.Module) -> bool:
    """Whether a layer has a `compute_mask` of its own."""
    compute = getattr(type(module), "compute_mask", None)
    return compute is not None and not is_own(compute, *_INHERITED)


def mask_after(module: nn.Module, x: Any, mask: Any, used: bool) -> Any:
    """The mask of what `module` makes of `x`.

    Args:
        module: any.
        x: its input, or the list of them.
        mask: of the input; a list for a list.
        used: whether the module was given it.

    Warns:
        UserWarning: the mask ends here though the module knows nothing of masks, as Keras warns.
    """
    given = mask if any_mask(mask) else None
    compute = getattr(module, "compute_mask", None)
    passed = given if isinstance(module, _STEP_BY_STEP) else None
    found = passed if compute is None else compute(x, given)
    ends = given is not None and found is None and not used and not makes_mask(module)
    if ends and not torch.compiler.is_compiling():
        warnings.warn(
            f"{type(module).__name__} does not know masks: behind it, time steps that were masked count again.",
            stacklevel=3,
        )
    return found
