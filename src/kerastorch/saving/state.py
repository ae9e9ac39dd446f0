"""What a model is in besides its weights: what is frozen, its modes, where its draws are, the states it keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.errors import CheckpointError
from kerastorch.core.module_tree import named_modules
from kerastorch.core.nested import map_structure
from kerastorch.core.tensor_spec import TensorSpec
from kerastorch.layers.random_generator import RandomGenerator
from kerastorch.layers.rnn import RecurrentBase
from kerastorch.saving.model_diff import buffers_beside


def condition(model: nn.Module) -> dict[str, Any]:
    """All of it, as archives take it."""
    parts = list(named_modules(model))
    return {
        "frozen": [name for name, weight in model.named_parameters() if not weight.requires_grad],
        "trainable": [
            (name, *(vars(part).get(key) for key in _FLAGS))
            for name, part in parts
            if any(vars(part).get(key, True) is not True for key in _FLAGS)
        ],
        "evaluating": [name for name, part in model.named_modules() if not part.training],
        "formats": {name: kind for name, tensor in _all(model) if (kind := _format(tensor)) is not None},
        "dtypes": {name: value.dtype for name, value in buffers_beside(model)},
        "draws": {f"{name}:{key}": draws.count for name, key, draws in _draws(model) if draws.count is not None},
        "states": {
            name: [part.get_buffer(f"state_{index}") for index in range(part._kept)]
            for name, part in model.named_modules()
            if isinstance(part, RecurrentBase) and part._kept
        },
    }


_FORMATS = {"channels_last": torch.channels_last, "channels_last_3d": torch.channels_last_3d}


def _all(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _format(tensor: Tensor) -> str | None:
    """The order of its numbers in memory, where it is one that has a name and is not the usual one."""
    if nn.parameter.is_lazy(tensor) or tensor.layout != torch.strided or tensor.is_contiguous():
        return None
    axes = {4: "channels_last", 5: "channels_last_3d"}
    name = axes.get(tensor.ndim)
    return name if name is not None and tensor.is_contiguous(memory_format=_FORMATS[name]) else None


_FLAGS = ("_trainable", "trainable")


def _draws(model: nn.Module) -> list[tuple[str, str, RandomGenerator]]:
    parts = model.named_modules()
    return [
        (name, key, one) for name, part in parts for key, one in vars(part).items() if isinstance(one, RandomGenerator)
    ]


def load_weights(model: nn.Module, weights: Mapping[str, Any], dtypes: Mapping[str, Any], where: str) -> None:
    """Take on weights, in the dtype that they have.

    Raises:
        CheckpointError: they are not those of the model.
    """
    for name, value in model.state_dict(keep_vars=True).items():
        _cast(value, getattr(weights.get(name), "dtype", None))
    for name, buffer in buffers_beside(model):
        _cast(buffer, dtypes.get(name))
    try:
        model.load_state_dict(dict(weights))
    except Exception as error:
        raise CheckpointError(f"{where}: the weights are not those of the model: {error}") from error


def _cast(value: Any, dtype: Any) -> None:
    if not isinstance(value, Tensor) or not isinstance(dtype, torch.dtype) or nn.parameter.is_lazy(value):
        return
    if value.dtype != dtype and value.is_floating_point() and dtype.is_floating_point:
        value.data = value.data.to(dtype)


def restore(model: nn.Module, found: Mapping[str, Any], *, own: bool) -> None:
    """Put back what `condition` found.

    Args:
        model: with its weights.
        found: of a model like it; places that it does not have are passed over.
        own: whether the model is the caller's: then its modes stay.
    """
    frozen = set(found["frozen"])
    for name, weight in model.named_parameters():
        weight.requires_grad_(name not in frozen)
    flags = {name: values for name, *values in found["trainable"]}
    for name, part in named_modules(model):
        for key, value in zip(_FLAGS, flags.get(name, (True, True)), strict=True):
            if isinstance(value, bool) and (name in flags or key in vars(part)):
                vars(part)[key] = value
    if not own:
        for name, tensor in _all(model):
            if (kind := _FORMATS.get(found["formats"].get(name))) and tensor.ndim == (5 if "3d" in str(kind) else 4):
                tensor.data = tensor.data.contiguous(memory_format=kind)
        evaluating = set(found["evaluating"])
        for name, part in named_modules(model):
            part.training = name not in evaluating
    for name, key, draws in _draws(model):
        count = found["draws"].get(f"{name}:{key}")
        if draws.count is not None and isinstance(count, Tensor) and count.shape == (2,):
            draws.count.copy_(count)
    for name, part in model.named_modules():
        if isinstance(part, RecurrentBase) and part.stateful and found["states"].get(name):
            part.kept_states = {f"state_{index}": state for index, state in enumerate(found["states"][name])}


def specs(seen: Any) -> Any:
    """Specs as plain values."""
    return None if seen is None else map_structure(lambda spec: {"spec": (spec.shape, spec.dtype)}, seen)


def specs_from(written: Any) -> Any:
    """See `specs`."""
    if isinstance(written, Mapping):
        if set(written) == {"spec"}:
            return TensorSpec(*written["spec"])
        return {key: specs_from(one) for key, one in written.items()}
    if isinstance(written, (tuple, list)):
        return type(written)(specs_from(one) for one in written)
    return None
