"""Facts of a model by which another one is known to be like it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from kerastorch.checkpoint.module_state import non_persistent_buffers
from kerastorch.core.module_tree import named_modules
from kerastorch.layers.adaptable import AdaptableLayer
from kerastorch.saving.hook_detection import attached_hooks

MIB = 2**20
MOST_BESIDE = 64 * MIB  # bytes of buffers that are not in the file, as masks and tables, beside those of the file


def describe_difference(model: nn.Module, other: nn.Module) -> str | None:
    """What a model made from the config of `model` has otherwise, as a sentence; `None` where they are alike."""
    for what, facts in _FACTS.items():
        here, there = facts(model), facts(other)
        if facts is _settings:
            here, there = ({name: shown[name] for name in here.keys() & there.keys()} for shown in (here, there))
        if here != there:
            place = next(name for name in {**here, **there} if here.get(name) != there.get(name))
            if facts is attached_hooks and place not in there:
                return f"{place or 'the model'} has {', '.join(here[place])}, which is a function and is not written."
            return f"made again from its config it has another {what} at {place!r}: {there.get(place)}, not " + (
                f"{here.get(place)}."
            )
    return None


def _classes(model: nn.Module) -> dict[str, Any]:
    return {name: type(part) for name, part in model.named_modules(remove_duplicate=False)}


def _settings(model: nn.Module) -> dict[str, Any]:
    """What `repr` shows of each part; a tensor among it shows other digits in a copy without numbers."""
    shown: dict[str, Any] = {}
    for name, part in named_modules(model):
        try:
            text = part.extra_repr()
        except Exception:  # a layer that shows its numbers
            continue
        if "ensor(" not in text:
            shown[name] = re.sub(r" at 0x[0-9a-f]+", "", text)
    return shown


def _weights(model: nn.Module) -> dict[str, Any]:
    found = {}
    for name, value in model.state_dict(keep_vars=True).items():
        if isinstance(value, Tensor):
            found[name] = tuple(value.shape), value.is_floating_point()
    return {name: fact for name, fact in found.items() if name not in adapted(model)}


def _beside(model: nn.Module) -> dict[str, Any]:
    return {name: tuple(value.shape) for name, value in non_persistent_buffers(model) if name not in adapted(model)}


def _ties(model: nn.Module) -> dict[str, Any]:
    """Each name of a parameter -> the first name of the same."""
    first: dict[int, str] = {}
    named: Iterable[tuple[str, Any]] = model.named_parameters(remove_duplicate=False)
    return {name: first.setdefault(id(weight), name) for name, weight in named}


def _sharing(model: nn.Module) -> dict[str, Any]:
    first: dict[int, str] = {}
    return {name: first.setdefault(id(part), name) for name, part in model.named_modules(remove_duplicate=False)}


def _shared_buffers(model: nn.Module) -> dict[str, Any]:
    """Each name of a buffer -> the first name of the same; constants of a graph, which nothing writes to, aside."""
    first: dict[int, str] = {}
    found = {}
    for place, part in model.named_modules():
        for name, buffer in part._buffers.items() if getattr(part, "_plan", None) is None else ():
            if buffer is not None:
                key = f"{place}.{name}".lstrip(".")
                found[key] = first.setdefault(id(buffer), key)
    return {name: one for name, one in found.items() if one != name}


def _calls(model: nn.Module) -> dict[str, Any]:
    found = {}
    for name, part in model.named_modules():
        if getattr(part, "_plan", None) is not None:
            found[name] = part._plan, part.code
    return found


_FACTS = {
    "class": _classes, "weight": _weights, "tie of weights": _ties, "tie of buffers": _shared_buffers,
    "sharing of parts": _sharing, "function on it": attached_hooks, "buffer": _beside, "setting": _settings,
    "way of the tensors": _calls,
}  # fmt: skip


def reset(model: nn.Module, other: nn.Module) -> list[str]:
    """The numbers and texts in attributes of a user's parts that a model made again begins with anew."""
    found, others = [], dict(other.named_modules())
    for place, part in model.named_modules():
        if type(part).__module__.startswith(("kerastorch.", "torch.")):
            continue
        known = vars(others[place])
        for name, value in vars(part).items():
            simple = isinstance(value, (bool, int, float, str)) and not name.startswith("_") and name not in _RESTORED
            if simple and name in known and known[name] != value:
                found.append(f"{f'{place}.{name}'.lstrip('.')} is {value!r}, and will be {known[name]!r}")
    return found


_RESTORED = {"training", "trainable", "built", "name", "stop_training"}


def adapted(model: nn.Module) -> set[str]:
    """The names of buffers that have what size they were saved with: what layers learned by `adapt`."""
    return {
        f"{place}.{name}".lstrip(".")
        for place, part in model.named_modules()
        if isinstance(part, AdaptableLayer)
        for name in part._buffers
    }


def misfit(model: nn.Module, weights: Mapping[str, Any]) -> str | None:
    """Why weights do not belong to a model, by names and shapes; nothing is computed."""
    own = {name: value for name, value in model.state_dict(keep_vars=True).items() if isinstance(value, Tensor)}
    skipped = adapted(model)
    for name, value in own.items():
        if name not in weights:
            return f"the weights in the file lack {name!r}."
        lazy = nn.parameter.is_lazy(value)
        if name not in skipped and not lazy and tuple(weights[name].shape) != tuple(value.shape):
            return f"{name!r} has shape {tuple(value.shape)}, in the file {tuple(weights[name].shape)}."
    known = set(model.state_dict(keep_vars=True))
    for name in weights:
        if name not in known:
            return f"the file has weights {name!r} that the model does not."
    beside = sum(value.numel() * value.element_size() for _, value in non_persistent_buffers(model))
    held = sum(value.numel() * value.element_size() for value in weights.values() if isinstance(value, Tensor))
    if beside > MOST_BESIDE + 4 * held:
        return f"it would take {beside // MIB} MiB for buffers that are not in the file."
    return None
