"""The state of a module, captured as plain values, checked and restored.

Two files hold it. The checkpoint of a running fit is made by `capture_module_state` and put back in place by
`restore_module_state`. The file of a saved model holds the `state_dict()` and, beside it, the results of the smaller
`capture_*` functions, which have a matching `restore_*` each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.distributed_tensors import copy_values
from kerastorch.core.errors import CheckpointError, suggest
from kerastorch.core.module_tree import named_modules
from kerastorch.core.ownership import is_from, is_own, is_third_party
from kerastorch.core.torch_private import non_persistent_buffers as non_persistent_names
from kerastorch.layers.adaptable import adapted_buffers
from kerastorch.layers.random_generator import RandomGenerator
from kerastorch.layers.rnn import RecurrentBase

TrainableFlags = tuple[str, bool | None, bool | None]  # path, and the two attributes of `_TRAINABLE`
_TRAINABLE = (
    "_trainable",
    "trainable",
)  # attributes of `core.trainable`; the second is set by users on torch's modules
_MEMORY_FORMATS = {  # name in files -> format, number of axes of the tensors that can have it
    "channels_last": (torch.channels_last, 4),
    "channels_last_3d": (torch.channels_last_3d, 5),
}


# --- a checkpoint of a running fit ------------------------------------------------------------------------------------


def capture_module_state(module: nn.Module) -> dict[str, Any]:
    """Return the whole state of a module, for `restore_module_state`; tensors are the module's own, not copies."""
    parts = own_modules(module)
    return {
        "tensors": dict(_tensors(parts)),
        "learning": [name for name, tensor in _tensors(parts) if tensor.requires_grad],
        "trainable": {path: known["_trainable"] for path, part in parts if "_trainable" in (known := vars(part))},
        "draws": capture_random_counts(module, "."),
        "kept": capture_recurrent_states(module),
        "extra": {path: part.get_extra_state() for path, part in parts if _has_extra_state(part)},
    }


def check_module_state(module: nn.Module, state: Mapping[str, Any]) -> None:
    """Check that `state` fits the module, without changing anything.

    Raises:
        CheckpointError: The module has other weights, buffers or seeded random generators, or tensors of other shapes
            or dtypes.
    """
    here, saved = dict(_tensors(own_modules(module))), state["tensors"]
    for name in here.keys() ^ saved.keys():
        where = "the checkpoint" if name in here else "the model"
        known = saved if name in here else here
        raise CheckpointError(f"{where} has no {name!r}.{suggest(name, known)} Is it of another model?")
    grows = {
        f"{path}.{name}".lstrip(".") for path, part in own_modules(module) if _may_grow(part) for name in part._buffers
    }
    for name, tensor in here.items():
        given = saved[name]
        if (tensor.shape != given.shape and name not in grows) or tensor.dtype != given.dtype:
            raise CheckpointError(
                f"{name!r} is {tuple(tensor.shape)} of {tensor.dtype}, in the checkpoint {tuple(given.shape)} of "
                f"{given.dtype}. Is it of another model?"
            )
    for name in capture_random_counts(module, "."):
        if name not in state["draws"]:
            raise CheckpointError(f"the checkpoint has no random state of {name!r}. Is it of another model?")


@torch.no_grad()
def restore_module_state(module: nn.Module, state: Mapping[str, Any]) -> None:
    """Put back what `capture_module_state` returned; tensors are written in place.

    Raises:
        CheckpointError: The state does not fit the module, see `check_module_state`; nothing has been changed.
    """
    check_module_state(module, state)
    parts = own_modules(module)
    for name, tensor in _tensors(parts):
        saved = state["tensors"][name]
        if tensor.shape != saved.shape:
            tensor.resize_(saved.shape)
        copy_values(tensor, saved)
    restore_requires_grad(module, set(state["learning"]))
    for path, part in parts:
        if path in state["trainable"]:
            vars(part)["_trainable"] = state["trainable"][path]
        if path in state["extra"]:
            part.set_extra_state(state["extra"][path])
    restore_recurrent_states(module, state["kept"])
    restore_random_counts(module, state["draws"], ".")


# --- parts of the state -----------------------------------------------------------------------------------------------


def own_modules(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return `(path, module)` of each module once, without views, which share the state of the module they view."""
    return [(path, part) for path, part in named_modules(module) if vars(part).get("module_viewed") is None]


def non_persistent_buffers(module: nn.Module) -> list[tuple[str, Tensor]]:
    """Return the buffers that `state_dict()` leaves out; the states of recurrent layers are not among them."""
    found = []
    for path, part in own_modules(module):
        recurrent = part.kept_states if isinstance(part, RecurrentBase) else {}
        for name in sorted(non_persistent_names(part) - recurrent.keys()):
            value = part._buffers.get(name)
            if value is not None:
                found.append((f"{path}.{name}".lstrip("."), value))
    return found


def resizable_buffers(module: nn.Module) -> set[str]:
    """Return the names of the buffers that get the size of the values that are loaded.

    They belong to layers with `adapt`, and to modules with their own way of loading, such as observers of quantization.
    """
    own_way = [(path, part) for path, part in named_modules(module) if _loads_in_its_own_way(part)]
    return adapted_buffers(module) | {f"{path}.{name}".lstrip(".") for path, part in own_way for name in part._buffers}


def _loads_in_its_own_way(part: nn.Module) -> bool:
    load = type(part)._load_from_state_dict
    return not is_own(load) and not is_from(load, "torch.nn")


def _may_grow(part: nn.Module) -> bool:
    """Return whether the buffers of a module may have another size in a checkpoint than before the training."""
    return is_third_party(part) or _loads_in_its_own_way(part)


def restore_requires_grad(module: nn.Module, names: Collection[str]) -> None:
    """Let the parameters in `names` require gradients, and no others."""
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in names)


def capture_trainable_flags(module: nn.Module) -> list[TrainableFlags]:
    """Return path and `trainable` attributes of each module, views included, unless all of them are `True` or unset."""
    return [
        (path, known.get("_trainable"), known.get("trainable"))
        for path, part in named_modules(module)
        if any((known := vars(part)).get(key, True) is not True for key in _TRAINABLE)
    ]


def restore_trainable_flags(module: nn.Module, captured: Collection[TrainableFlags]) -> None:
    """Set the `trainable` attributes as captured; modules that are not in `captured` become trainable."""
    flags = {path: values for path, *values in captured}
    for path, part in named_modules(module):
        for key, value in zip(_TRAINABLE, flags.get(path, [True, True]), strict=True):
            if isinstance(value, bool) and (path in flags or key in vars(part)):
                vars(part)[key] = value


def capture_eval_modules(module: nn.Module) -> list[str]:
    """Return the paths of the modules that are in evaluation mode."""
    return [path for path, part in module.named_modules() if not part.training]


def restore_eval_modules(module: nn.Module, paths: Collection[str]) -> None:
    """Put the modules at `paths` into evaluation mode and all others into training mode."""
    for path, part in named_modules(module):
        part.training = path not in paths


def capture_memory_formats(module: nn.Module) -> dict[str, str]:
    """Return the memory format of each parameter and buffer that is not contiguous and whose format has a name."""
    formats = {name: _memory_format(tensor) for name, tensor in _named_tensors(module)}
    return {name: known for name, known in formats.items() if known is not None}


def restore_memory_formats(module: nn.Module, formats: Mapping[str, str]) -> None:
    """Lay out parameters and buffers in memory as captured; names and formats that do not fit are ignored."""
    for name, tensor in _named_tensors(module):
        memory_format, ndim = _MEMORY_FORMATS.get(formats.get(name, ""), (None, None))
        if memory_format is not None and tensor.ndim == ndim:
            tensor.data = tensor.data.contiguous(memory_format=memory_format)


def capture_random_counts(module: nn.Module, separator: str) -> dict[str, Tensor]:
    """Return the state of each random generator with a seed: its seed and the number of its draws.

    Args:
        module: The module whose layers own the generators.
        separator: The text between the path of a layer and the name of its attribute, in the keys of the result.
    """
    return {
        f"{path}{separator}{name}": value.count
        for path, part in named_modules(module)
        for name, value in vars(part).items()
        if isinstance(value, RandomGenerator) and value.count is not None
    }


def restore_random_counts(module: nn.Module, counts: Mapping[str, Any], separator: str) -> None:
    """Write captured states into the random generators; a generator without a valid state in `counts` stays as is."""
    for name, count in capture_random_counts(module, separator).items():
        saved = counts.get(name)
        if isinstance(saved, Tensor) and saved.shape == count.shape:
            count.copy_(saved)


def capture_recurrent_states(module: nn.Module) -> dict[str, dict[str, Tensor]]:
    """Return the states that each recurrent layer carries to the next batch, by path and name of the buffer."""
    return {path: part.kept_states for path, part in own_modules(module) if isinstance(part, RecurrentBase)}


def restore_recurrent_states(module: nn.Module, states: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Give recurrent layers copies of captured states; a layer that is not in `states` stays as is."""
    for path, part in own_modules(module):
        if isinstance(part, RecurrentBase) and path in states:
            part.kept_states = states[path]


def _tensors(parts: list[tuple[str, nn.Module]]) -> Iterator[tuple[str, Tensor]]:
    """Yield all parameters and buffers except the states of recurrent layers, under every name of a shared one."""
    for path, part in parts:
        recurrent = part.kept_states if isinstance(part, RecurrentBase) else ()
        for name, tensor in (*part._parameters.items(), *part._buffers.items()):
            if tensor is not None and name not in recurrent:
                yield f"{path}.{name}" if path else name, tensor


def _named_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield parameters and buffers, each once."""
    yield from module.named_parameters()
    yield from module.named_buffers()


def _memory_format(tensor: Tensor) -> str | None:
    """Return the name of a tensor's memory format; `None` for a contiguous tensor and for an unnamed format."""
    if nn.parameter.is_lazy(tensor) or tensor.layout != torch.strided or tensor.is_contiguous():
        return None
    for name, (memory_format, ndim) in _MEMORY_FORMATS.items():
        if tensor.ndim == ndim and tensor.is_contiguous(memory_format=memory_format):
            return name
    return None


def _has_extra_state(part: nn.Module) -> bool:
    """Return whether a module's class overrides `get_extra_state`."""
    return type(part).get_extra_state is not nn.Module.get_extra_state
