"""Propagation of masks, which mark the time steps that count, from one module to the next.

Masks are arguments of calls, and in a graph results of calls. Attributes of tensors they are for calls as in Keras
alone (`masks_of_tensors`), since every operation of torch drops these.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from kerastorch.core.ownership import is_own
from kerastorch.symbolic.forward_parameters import forward_parameters

# torch modules that treat each time step separately: the mask of their input is that of their output
_STEP_BY_STEP = (
    nn.Linear, nn.Identity, nn.Dropout, nn.AlphaDropout, nn.LayerNorm, nn.RMSNorm, nn.ReLU, nn.ReLU6, nn.LeakyReLU,
    nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Softmax,
    nn.LogSoftmax, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid,
)  # fmt: skip

# modules whose `compute_mask` only passes on masks that others make
_OF_MODELS = ("functional.functional_model", "sequential")
_INHERITED = ("layers.base", *_OF_MODELS)


def any_mask(masks: Any) -> bool:
    """Return whether there is a mask in a list or dict, at any depth, or whether a value is one; `None` is no mask."""
    masks = [*masks.values()] if isinstance(masks, Mapping) else masks
    return any(map(any_mask, masks)) if isinstance(masks, (tuple, list)) else masks is not None


def mask_of(value: Any) -> Any:
    """Return the mask of a symbol or tensor, or the masks of those in a list or dict; `None` for other values."""
    if isinstance(value, (tuple, list)):
        return [mask_of(one) for one in value]
    if isinstance(value, Mapping):
        return {name: mask_of(one) for name, one in value.items()}
    return getattr(value, "_keras_mask", None)


def first_input(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Return the first argument of a call; `None` if there is none."""
    return args[0] if args else next(iter(kwargs.values()), None)


def missing_masks(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the masks of the arguments that `forward` of a module takes and the caller has not given.

    They are `mask`, that of the first argument, and `query_mask`, `value_mask`, ... for parameters of these names.

    Args:
        module: The module that is called.
        args: Positional arguments of the call.
        kwargs: Keyword arguments of the call.
    """
    names = forward_parameters(module)
    inputs = dict(zip(names, args, strict=False)) | dict(kwargs)
    masks = {"mask": mask_of(first_input(args, kwargs))}
    masks |= {f"{name}_mask": mask_of(value) for name, value in inputs.items() if not isinstance(value, (tuple, list))}
    return {name: one for name, one in masks.items() if name in names and inputs.get(name) is None and any_mask(one)}


def takes_mask(module: nn.Module) -> bool:
    """Return whether `forward` has a parameter `mask`."""
    return "mask" in forward_parameters(module)


_makers: weakref.WeakKeyDictionary[type, bool] = weakref.WeakKeyDictionary()  # answers of `makes_mask` by class


def makes_mask(module: nn.Module) -> bool:
    """Return whether a module makes masks itself: it has a `compute_mask` that is not only inherited."""
    kind = type(module)
    found = None if torch.compiler.is_compiling() else _makers.get(kind)  # which compiled code could not read
    if found is None:
        compute = getattr(kind, "compute_mask", None)
        found = compute is not None and not is_own(compute, *_INHERITED)
        if not torch.compiler.is_compiling():
            _makers[kind] = found
    return found


def passes_masks_within(module: nn.Module) -> bool:
    """Return whether the masks of a module's outputs are those of the layers in it, as in a model."""
    compute = getattr(type(module), "compute_mask", None)
    return compute is not None and is_own(compute, *_OF_MODELS)


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
