"""Compare two models, or a model and the weights in a file, by names, shapes and structure, without computing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from kerastorch.checkpoint.module_state import non_persistent_buffers, resizable_buffers
from kerastorch.core.module_tree import named_modules
from kerastorch.core.ownership import is_third_party
from kerastorch.core.representation import constructor_parameters
from kerastorch.core.torch_class import declared_class
from kerastorch.layers.adaptable import AdaptableLayer
from kerastorch.saving.hook_detection import attached_hooks

MIB = 2**20
MAX_EXTRA_BYTES = 64 * MIB  # of buffers that are not in the file, such as masks and tables
_RESTORED = {"training", "trainable", "built", "name", "stop_training"}  # attributes that `load_model` restores


def describe_difference(model: nn.Module, other: nn.Module) -> str | None:
    """Return a sentence that names the first difference between a model and its remade copy; `None` if there is none.

    Args:
        model: The model that is saved.
        other: A model made from the config of `model`, possibly on fake tensors.
    """
    for what, properties in _PROPERTIES.items():
        here, there = properties(model), properties(other)
        if properties is _settings:
            here, there = ({name: shown[name] for name in here.keys() & there.keys()} for shown in (here, there))
        if here != there:
            place = next(name for name in {**here, **there} if here.get(name) != there.get(name))
            if properties is attached_hooks and place not in there:
                return f"{place or 'the model'} has {', '.join(here[place])}, which is a function and is not written."
            return (
                f"made again from its config it has another {what} at {place!r}: {there.get(place)}, "
                f"not {here.get(place)}."
            )
    return None


def _classes(model: nn.Module) -> dict[str, Any]:
    """Return the class of each module, by path."""
    return {name: declared_class(type(part)) for name, part in model.named_modules(remove_duplicate=False)}


def _settings(model: nn.Module) -> dict[str, Any]:
    """Return what `repr` shows of each module, by path; of a layer with `adapt`, the arguments that it was made with.

    Texts with tensors are left out, because a fake tensor has no values to show; so are modules that cannot show
    themselves on fake tensors.
    """
    shown: dict[str, Any] = {}
    for name, part in named_modules(model):
        try:
            text = _arguments(part) if isinstance(part, AdaptableLayer) else part.extra_repr()
        except Exception:  # the text needs values of tensors
            continue
        if "ensor(" not in text:
            shown[name] = re.sub(r" at 0x[0-9a-f]+", "", text)
    return shown


def _arguments(layer: AdaptableLayer) -> str:
    """Return the simple arguments of a layer, without what `adapt` has learned, which is among the weights."""
    values = {name: getattr(layer, name, None) for name in constructor_parameters(type(layer)) if name not in _RESTORED}
    return str({name: value for name, value in values.items() if isinstance(value, (bool, int, float, str, tuple))})


def _weights(model: nn.Module) -> dict[str, Any]:
    """Return shape and kind, floating-point or not, of each tensor in the state dict, by name."""
    learned = resizable_buffers(model)
    return {
        name: (tuple(value.shape), value.is_floating_point())
        for name, value in model.state_dict(keep_vars=True).items()
        if isinstance(value, Tensor) and name not in learned
    }


def _non_persistent(model: nn.Module) -> dict[str, Any]:
    """Return the shapes of the buffers that are not in the state dict, by name."""
    learned = resizable_buffers(model)
    return {name: tuple(value.shape) for name, value in non_persistent_buffers(model) if name not in learned}


def _ties(model: nn.Module) -> dict[str, Any]:
    """Return, for each name of a parameter, the first name of the same parameter."""
    first: dict[int, str] = {}
    named: Iterable[tuple[str, Any]] = model.named_parameters(remove_duplicate=False)
    return {name: first.setdefault(id(weight), name) for name, weight in named}


def _shared_modules(model: nn.Module) -> dict[str, Any]:
    """Return, for each path of a module, the first path of the same module."""
    first: dict[int, str] = {}
    return {name: first.setdefault(id(part), name) for name, part in model.named_modules(remove_duplicate=False)}


def _shared_buffers(model: nn.Module) -> dict[str, Any]:
    """Return, for each further name of a buffer, its first name.

    The constants of a functional model's graph are left out, because nothing writes to them.
    """
    first: dict[int, str] = {}
    found = {}
    for place, part in model.named_modules():
        for name, buffer in part._buffers.items() if getattr(part, "_plan", None) is None else ():
            if buffer is not None:
                key = f"{place}.{name}".lstrip(".")
                found[key] = first.setdefault(id(buffer), key)
    return {name: one for name, one in found.items() if one != name}


def _graphs(model: nn.Module) -> dict[str, Any]:
    """Return the call signature and the generated code of each functional model, by path."""
    found = {}
    for name, part in model.named_modules():
        if getattr(part, "_plan", None) is not None:
            found[name] = part._plan, part.code
    return found


# what is compared, in words for the message -> function that returns it by the path or name of its owner
_PROPERTIES: dict[str, Callable[[nn.Module], Mapping[str, Any]]] = {
    "class": _classes, "weight": _weights, "tie of weights": _ties, "tie of buffers": _shared_buffers,
    "sharing of parts": _shared_modules, "function on it": attached_hooks, "buffer": _non_persistent,
    "setting": _settings, "way of the tensors": _graphs,
}  # fmt: skip


def changed_attributes(model: nn.Module, other: nn.Module) -> list[str]:
    """Return a phrase for each public number or text attribute of a user's module that differs in the remade model."""
    found, others = [], dict(other.named_modules())
    for place, part in model.named_modules():
        if not is_third_party(part):
            continue
        known = vars(others[place])
        for name, value in vars(part).items():
            is_simple = isinstance(value, (bool, int, float, str)) and not name.startswith("_")
            if is_simple and name not in _RESTORED and name in known and known[name] != value:
                found.append(f"{f'{place}.{name}'.lstrip('.')} is {value!r}, and will be {known[name]!r}")
    return found


def describe_misfit(model: nn.Module, weights: Mapping[str, Any]) -> str | None:
    """Return a sentence that says why weights are not those of a model; `None` if they are.

    Args:
        model: A model, possibly on fake tensors; only names and shapes are compared.
        weights: The state dict in a file.
    """
    own = model.state_dict(keep_vars=True)
    learned = resizable_buffers(model)
    for name, value in own.items():
        if not isinstance(value, Tensor):
            continue
        if name not in weights:
            return f"the weights in the file lack {name!r}."
        is_lazy = nn.parameter.is_lazy(value)
        if name not in learned and not is_lazy and tuple(weights[name].shape) != tuple(value.shape):
            return f"{name!r} has shape {tuple(value.shape)}, in the file {tuple(weights[name].shape)}."
    for name in weights:
        if name not in own:
            return f"the file has weights {name!r} that the model does not."
    extra = _size(value for _, value in non_persistent_buffers(model))
    if extra > MAX_EXTRA_BYTES + 4 * _size(value for value in weights.values() if isinstance(value, Tensor)):
        return f"it would take {extra // MIB} MiB for buffers that are not in the file."
    return None


def _size(tensors: Iterable[Tensor]) -> int:
    """Return the size of tensors in bytes."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
