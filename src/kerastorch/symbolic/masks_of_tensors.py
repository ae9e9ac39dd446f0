"""Masks as attributes of tensors, `_keras_mask`, which layers read and set in calls as in Keras.

A tensor that a layer returns has the mask of its time steps, and the next layer that is called on it takes it from
there. Operations of torch return tensors without masks, as those of Keras do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from kerastorch.core.nested import leaves
from kerastorch.symbolic.masks import (
    any_mask,
    first_input,
    makes_mask,
    mask_after,
    mask_of,
    missing_masks,
    passes_masks_within,
)


def masks_of_call(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the masks of the tensors of a call by parameter, those that the caller has not given.

    Args:
        module: The module that is called.
        args: Positional arguments of the call.
        kwargs: Keyword arguments of the call.
    """
    has_masks = any(any_mask(mask_of(one)) for one in (*args, *kwargs.values()))
    return missing_masks(module, args, kwargs) if has_masks else {}


def keep_masks(
    module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], passed: Mapping[str, Any], output: Any
) -> None:
    """Set the mask of each tensor that a layer returned, unless a layer within it has set it.

    Args:
        module: The layer. The outputs of a model have the masks of its last layers, and are left as they are.
        args: Positional arguments of the call.
        kwargs: Keyword arguments of the call.
        passed: The masks that were passed to it in addition.
        output: What it returned.

    Warns:
        UserWarning: The layer does not support masks, so the mask of its input ends here.
    """
    x = first_input(args, kwargs)
    given = mask_of(x)
    mask = passed.get("mask", kwargs.get("mask", given))
    if not (any_mask(mask) or makes_mask(module)) or passes_masks_within(module):
        return
    tensors = [one for _, one in leaves(output) if isinstance(one, Tensor)]
    if all(mask_of(one) is not None for one in tensors):
        return
    masks = mask_after(module, x, mask, used="mask" in passed or "mask" in kwargs)
    for tensor, one in zip(tensors, masks if isinstance(masks, (tuple, list)) else [masks], strict=False):
        if one is not None:
            tensor._keras_mask = one  # type: ignore[attr-defined]
