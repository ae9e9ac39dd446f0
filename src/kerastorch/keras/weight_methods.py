"""Keras' methods of weights, which `import kerastorch.keras` adds to `torch.nn.Parameter`.

They are no methods of a subclass, because the optimizers of torch take their fast kernels for parameters of exactly
this type. So weights of all layers and modules have them, and nothing else about a parameter changes: it is pickled,
copied and compiled as before. What works in torch stays as it is: `numpy` differs only where torch raises an error, and
`name` only for weights of layers of kerastorch, since it is `None` for every tensor in torch.
"""

from __future__ import annotations

import itertools
import weakref
from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.auto_names import auto_name
from kerastorch.core.name_lookup import own_name, snake_case
from kerastorch.module.weight_owners import owner_of

_NORMALIZATIONS = (
    "BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization", "SpectralNormalization",
)  # fmt: skip
_NAMES = {
    "weight": "kernel", "depthwise_weight": "depthwise_kernel", "pointwise_weight": "pointwise_kernel",
    "weight_ih": "kernel", "weight_hh": "recurrent_kernel", "bias_ih": "bias", "bias_hh": "recurrent_bias",
}  # fmt: skip
_counters: defaultdict[str, itertools.count[int]] = defaultdict(itertools.count)
_module_names: weakref.WeakKeyDictionary[nn.Module, str] = weakref.WeakKeyDictionary()


def assign(weight: nn.Parameter, value: Any) -> nn.Parameter:
    """Set the values of a weight, in place, and return it.

    Args:
        weight: The weight.
        value: A tensor, array or number of the same shape.

    Raises:
        ValueError: The shape is different.
    """
    given = torch.as_tensor(value, device=weight.device)
    if given.shape != weight.shape:
        raise ValueError(f"A weight of shape {tuple(weight.shape)} was assigned a value of {tuple(given.shape)}.")
    with torch.no_grad():
        weight.copy_(given)
    return weight


def assign_add(weight: nn.Parameter, value: Any) -> nn.Parameter:
    """Add a tensor, array or number to a weight, in place, and return it."""
    return assign(weight, weight.detach() + torch.as_tensor(value, device=weight.device))


def assign_sub(weight: nn.Parameter, value: Any) -> nn.Parameter:
    """Subtract a tensor, array or number from a weight, in place, and return it."""
    return assign(weight, weight.detach() - torch.as_tensor(value, device=weight.device))


def numpy(weight: nn.Parameter, *, force: bool = False) -> Any:
    """Return the values as a NumPy array, as torch does, and a copy where torch raises an error.

    Those are weights that are trained, and weights in bfloat16, which NumPy does not have and which become float32.

    Args:
        weight: The weight.
        force: As for `torch.Tensor.numpy`.
    """
    is_half = weight.dtype is torch.bfloat16
    if force or not (weight.requires_grad or is_half):
        return Tensor.numpy(weight, force=force)
    held = weight.detach().cpu()
    return Tensor.numpy(held.float() if is_half else held).copy()


def value_of(weight: nn.Parameter) -> nn.Parameter:
    """Return the weight itself, so that `weight.value.grad` is its gradient."""
    return weight


def name_of(weight: nn.Parameter) -> str | None:
    """Return the name of Keras, such as `kernel`; `None` if no layer or model of kerastorch has the weight."""
    found = owner_of(weight)
    return None if found is None else _keras_name(*found)


def is_trainable(weight: nn.Parameter) -> bool:
    """Return whether a weight is trained."""
    return weight.requires_grad


def set_trainable(weight: nn.Parameter, value: bool) -> None:
    """Let a weight be trained or not."""
    weight.requires_grad_(value)


def path_of(weight: nn.Parameter) -> str | None:
    """Return the name of the layer and of the weight, such as `dense_1/kernel`; no two weights have the same.

    A layer without a name has that of its class, numbered in the order in which paths are asked for. The path is `None`
    if no layer or model of kerastorch has the weight.
    """
    found = owner_of(weight)
    return None if found is None else f"{_name_of_module(found[0])}/{_keras_name(*found)}"


def _keras_name(module: nn.Module, attribute: str) -> str:
    given = vars(module).get("names_of_weights", {}).get(attribute)
    if given is not None:
        return str(given)
    kinds = {kind.__name__ for kind in type(module).__mro__}
    if kinds & set(_NORMALIZATIONS):
        return {"weight": "gamma", "bias": "beta"}.get(attribute, attribute)
    if "Embedding" in kinds and attribute == "weight":
        return "embeddings"
    return _NAMES.get(attribute, attribute)


def _name_of_module(module: nn.Module) -> str:
    """Return the name of a module, made unique by a number."""
    automatic = auto_name(module)
    if automatic is not None and own_name(module) is None:
        return automatic
    if module not in _module_names:
        name = own_name(module) or snake_case(type(module).__name__)
        number = next(_counters[name])
        _module_names[module] = f"{name}_{number}" if number else name
    return _module_names[module]


def install() -> None:
    """Add the methods to `torch.nn.Parameter`, once."""
    own: dict[str, Any] = {
        "assign": assign, "assign_add": assign_add, "assign_sub": assign_sub, "value": property(value_of),
        "path": property(path_of), "trainable": property(is_trainable, set_trainable),
    }  # fmt: skip
    new = {name: member for name, member in own.items() if not hasattr(Tensor, name)}
    for name, member in {**new, "numpy": numpy, "name": property(name_of)}.items():
        setattr(nn.Parameter, name, member)
