"""Propagation of masks, which mark the time steps that count, from one module to the next.

Masks are arguments of calls, and in a graph results of calls. They are no attributes of tensors, which every operation
of torch would drop.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from kerastorch.core.ownership import is_own

# torch modules that treat each time step separately: the mask of their input is that of their output
_STEP_BY_STEP = (
    nn.Linear, nn.Identity, nn.Dropout, nn.AlphaDropout, nn.LayerNorm, nn.RMSNorm, nn.ReLU, nn.ReLU6, nn.LeakyReLU,
    nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Softmax,
    nn.LogSoftmax, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid,
)  # fmt: skip

# modules whose `compute_mask` only passes on masks that others make
_INHERITED = ("layers.base", "functional.functional_model", "sequential")


def any_mask(masks: Any) -> bool:
    """Return whether there is a mask in a list or dict, at any depth, or whether a value is one; `None` is no mask."""
    masks = [*masks.values()] if isinstance(masks, Mapping) else masks
    return any(map(any_mask, masks)) if isinstance(masks, (tuple, list)) else masks is not None


def takes_mask(module: nn.Module) -> bool:
    """Return whether `forward` has a parameter `mask`."""
    try:
        return "mask" in inspect.signature(module.forward).parameters
    except (TypeError, ValueError):  # a forward that is not written in Python has no signature
        return False


def makes_mask(module: nn.Module) -> bool:
    """Return whether a module makes masks itself: it has a `compute_mask` that is not only inherited."""
    compute = getattr(type(module), "compute_mask", None)
    return compute is not None and not is_own(compute, *_INHERITED)


def mask_after(module: nn.Module, x: Any, mask: Any, used: bool) -> Any:
    """Return the mask of a module's output, or `None` if there is none.

    Args:
        module: A module.
        x: Its input, or the list of its inputs.
        mask: The mask of the input, or the list of masks.
        used: Whether the mask was passed to the module.

    Warns:
        UserWarning: The module does not support masks, so the mask ends here; Keras warns too.
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
