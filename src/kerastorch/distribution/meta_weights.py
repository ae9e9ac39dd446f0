"""Initial weights of a model that was made on the meta device, because it is larger than the memory of a process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from kerastorch.core.distributed_tensors import copy_values
from kerastorch.core.module_tree import module_within
from kerastorch.core.torch_class import declared_class
from kerastorch.layers.base import Layer


def initialize_weights(model: nn.Module, device: torch.device | str = "cpu") -> None:
    """Give the weights of a model on the meta device the values that the same script gives them in one process.

    Call it with the same random seed in all processes, after the model is sharded. Layers are initialized one after the
    other, in the order of `named_modules`, each whole on the CPU: the memory of the largest layer is needed beside the
    parts of all others.

    Args:
        model: A model whose tensors are on the meta device, sharded or not.
        device: Device of the parts that this process has.

    Raises:
        ValueError: A module has weights or buffers, and no method `reset_parameters` as those of torch.
    """
    root = module_within(model)
    units = list(_units(root, ""))
    for name, part in units:
        if not isinstance(part, Layer) and not callable(getattr(part, "reset_parameters", None)):
            kind = declared_class(type(part)).__name__
            raise ValueError(
                f"initialize_weights: {name or 'the model'} is a {kind}, which has weights or buffers of its own and "
                "no reset_parameters() that fills them. Write this method."
            )
    root.to_empty(device=device)
    for _, part in units:
        fresh = _fresh_layer(part) if isinstance(part, Layer) else _reset(part)
        for name, tensor in _tensors(part, recurse=isinstance(part, Layer)):
            copy_values(tensor, fresh[name])


def _units(part: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """Yield what is initialized by itself: layers of kerastorch, and modules with tensors of their own."""
    if isinstance(part, Layer):
        yield name, part
        return
    if any(True for _ in _tensors(part, recurse=False)):
        yield name, part
    for key, child in part.named_children():
        yield from _units(child, f"{name}.{key}" if name else key)


def _tensors(part: nn.Module, *, recurse: bool) -> Iterator[tuple[str, Tensor]]:
    yield from part.named_parameters(recurse=recurse)
    yield from part.named_buffers(recurse=recurse)


def _fresh_layer(layer: Layer) -> dict[str, Tensor]:
    """Return the tensors of a new layer with the arguments and the input shapes of another one."""
    kind: Any = declared_class(type(layer))
    fresh = kind.from_config(layer.get_config())
    if layer.built_on is not None:
        fresh.ensure_built(*layer.built_on)
    return dict(_tensors(fresh, recurse=True))


def _reset(part: nn.Module) -> dict[str, Tensor]:
    """Return what `reset_parameters` of a module writes to whole tensors on the CPU."""
    parameters, buffers = dict(part._parameters), dict(part._buffers)
    try:
        for key, weight in parameters.items():
            if weight is not None:
                empty = torch.empty(weight.shape, dtype=weight.dtype)
                part._parameters[key] = nn.Parameter(empty, requires_grad=weight.requires_grad)
        for key, buffer in buffers.items():
            if buffer is not None:
                part._buffers[key] = torch.empty(buffer.shape, dtype=buffer.dtype)
        part.reset_parameters()  # type: ignore[operator]
        return {name: tensor.detach() for name, tensor in _tensors(part, recurse=False)}
    finally:
        part._parameters.update(parameters)
        part._buffers.update(buffers)
